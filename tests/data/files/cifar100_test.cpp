#include <gpucnn/data/files/cifar100.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files/test_folder.h"

namespace gpucnn {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kRecord = 3074;

/// A folder like the published one. Its files are holes with a few records written: image i begins with the byte i of red, and has
/// the labels i % 20 and i % 100.
class Cifar100 : public ::testing::Test {
 protected:
  Cifar100() {
    make("train.bin", 50'000);
    make("test.bin", 10'000);
    std::string fine, coarse;
    for (int i = 0; i < 100; ++i) fine += "fine" + std::to_string(i) + "\n";
    for (int i = 0; i < 20; ++i) coarse += "coarse" + std::to_string(i) + "\n";
    folder_.write("fine_label_names.txt", fine);
    folder_.write("coarse_label_names.txt", coarse);
  }

  void make(const std::string& name, std::size_t records) const {
    folder_.write(name, "");
    fs::resize_file(folder_ / name, records * kRecord);
    for (const std::size_t i : {std::size_t{0}, std::size_t{1}, std::size_t{57}, records - 1}) {
      std::string record(kRecord, '\0');
      record[0] = static_cast<char>(i % 20);
      record[1] = static_cast<char>(i % 100);
      record[2] = static_cast<char>(i);             // red of the first pixel
      record[2 + 1024 + 1] = static_cast<char>(i);  // green of the second
      record[kRecord - 1] = '\xC8';                 // blue of the last
      patch(name, i * kRecord, record);
    }
  }

  void patch(const std::string& name, std::uintmax_t offset, const std::string& text) const {
    std::fstream file(folder_ / name, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file << text;
  }

  void expect_refused(const std::string& name, std::uint64_t offset, const std::string& expected, const std::string& found) const {
    expect_damage([&] { load_cifar100(folder_.path(), 1); }, folder_ / name, offset, expected, found);
  }

  const TestFolder folder_{"cifar100"};
};

TEST_F(Cifar100, HasItsPublishedSizesAndEveryRecordInItsPlaceWithItsFineLabel) {
  const DatasetSplits cifar = load_cifar100(folder_.path());
  EXPECT_EQ(cifar.train.images().shape(), (Shape{50'000, 3, 32, 32}));
  EXPECT_EQ(cifar.test.images().shape(), (Shape{10'000, 3, 32, 32}));
  ASSERT_EQ(cifar.class_names.size(), 100U);
  EXPECT_EQ(cifar.class_names[57], "fine57");
  const auto expect_record = [](const TensorDataset& dataset, std::int64_t i) {
    const std::vector<std::uint8_t> pixels = dataset.images().narrow(i, 1).to_vector<std::uint8_t>();
    EXPECT_EQ(pixels[0], static_cast<std::uint8_t>(i));
    EXPECT_EQ(pixels[1024 + 1], static_cast<std::uint8_t>(i));
    EXPECT_EQ(pixels[3071], 0xC8);
    EXPECT_EQ(dataset.labels().data<std::int32_t>()[i], i % 100);
  };
  for (const int i : {0, 1, 57, 49'999}) expect_record(cifar.train, i);
  for (const int i : {0, 1, 57, 9'999}) expect_record(cifar.test, i);
}

TEST_F(Cifar100, HasTheCoarseLabelsIfAsked) {
  const DatasetSplits cifar = load_cifar100(folder_.path(), 58, Cifar100Labels::coarse);
  EXPECT_EQ(cifar.train.size(), 58);
  EXPECT_EQ(cifar.train.labels().data<std::int32_t>()[57], 17);
  ASSERT_EQ(cifar.class_names.size(), 20U);
  EXPECT_EQ(cifar.class_names[17], "coarse17");
  EXPECT_THROW(load_cifar100(folder_.path(), 0), std::invalid_argument);
}

TEST_F(Cifar100, NamesALabelOfEitherKindThatIsNone) {
  patch("train.bin", 0, "\x14");
  expect_refused("train.bin", 0, "a label from 0 to 19", "20");
  patch("train.bin", 0, std::string("\0\x64", 2));
  expect_refused("train.bin", 1, "a label from 0 to 99", "100");
}

TEST_F(Cifar100, NamesFilesOfAnotherSizeAndListsOfAnotherNumberOfNames) {
  folder_.write("fine_label_names.txt", "apple\nbaby\n");
  expect_refused("fine_label_names.txt", 11, "100 class names", "2 names");
  fs::resize_file(folder_ / "test.bin", 10'000 * kRecord - 1);
  expect_refused("test.bin", 10'000 * kRecord - 1, "30740000 bytes (10000 records of 3074)", "30739999 bytes");
  fs::remove(folder_ / "test.bin");
  expect_refused("test.bin", 0, "30740000 bytes", "no such file");
}

TEST_F(Cifar100, SaysWhereTheSetIsInstead) {
  const auto expect_hint = [&](const std::string& found) {
    expect_damage([&] { load_cifar100(folder_ / "other"); }, folder_ / "other", 0, "the binary version of CIFAR-100", found);
  };
  folder_.write("other/cifar-100-binary.tar.gz", "");
  expect_hint("cifar-100-binary.tar.gz there is not unpacked yet");
  folder_.write("other/train", "");
  expect_hint("the version for Python");
  folder_.write("other/cifar-100-binary/train.bin", "");
  expect_hint("other/cifar-100-binary, which holds it");
}

}  // namespace
}  // namespace gpucnn
