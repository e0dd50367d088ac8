#include <gpucnn/data/files/cifar10.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/threads/threads.h>

namespace gpucnn {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::uintmax_t kRecord = 3073;
constexpr std::uintmax_t kFileSize = 10'000 * kRecord;

/// A directory like the published one. Its files are holes with a few records written: image i of file f begins with the bytes f,
/// i.
class Cifar10 : public ::testing::Test {
 protected:
  Cifar10() {
    fs::remove_all(dir_);
    fs::create_directories(dir_);
    for (std::size_t f = 0; f < kFiles.size(); ++f) {
      write(kFiles[f], "");
      fs::resize_file(dir_ / kFiles[f], kFileSize);
      for (const std::size_t i : {0, 1, 9'999}) {
        std::string record(kRecord, '\0');
        record[0] = static_cast<char>(i % 10);
        record[1] = static_cast<char>(f);             // red of the first pixel
        record[1 + 1024 + 1] = static_cast<char>(i);  // green of the second
        record[kRecord - 1] = '\xC8';                 // blue of the last
        patch(kFiles[f], i * kRecord, record);
      }
    }
    write("batches.meta.txt", "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
  }
  ~Cifar10() override { fs::remove_all(dir_); }

  void write(const std::string& name, const std::string& text) const { std::ofstream(dir_ / name, std::ios::binary) << text; }

  void patch(const std::string& name, std::uintmax_t offset, const std::string& text) const {
    std::fstream file(dir_ / name, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file << text;
  }

  /// Loading fails at this byte of this file (".": the directory), and says these things.
  void expect_damage(const std::string& name, std::uint64_t offset, const std::string& expected, const std::string& found) const {
    try {
      load_cifar10(dir_, 1);
      FAIL() << name << " was taken";
    } catch (const DataError& error) {
      EXPECT_EQ(error.file(), name == "." ? dir_ : dir_ / name);
      EXPECT_EQ(error.offset(), offset);
      EXPECT_THAT(error.expected(), HasSubstr(expected));
      EXPECT_THAT(error.found(), HasSubstr(found));
    }
  }

  static inline const std::vector<std::string> kFiles{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                                      "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
  const fs::path dir_ = fs::temp_directory_path() / ("gpucnn_cifar10_" + std::to_string(getpid()));
};

TEST_F(Cifar10, HasItsPublishedSizesAndNamesAndEveryRecordInItsPlace) {
  const DatasetSplits cifar = load_cifar10(dir_);
  EXPECT_EQ(cifar.train.images().shape(), (Shape{50'000, 3, 32, 32}));
  EXPECT_EQ(cifar.test.images().shape(), (Shape{10'000, 3, 32, 32}));
  EXPECT_EQ(cifar.train.images().dtype(), DType::u8);
  EXPECT_THAT(cifar.class_names,
              ElementsAre("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"));
  const auto expect_record = [](const TensorDataset& dataset, std::int64_t place, std::uint8_t file, int record) {
    const std::vector<std::uint8_t> pixels = dataset.images().narrow(place, 1).to_vector<std::uint8_t>();
    EXPECT_EQ(pixels[0], file) << place;
    EXPECT_EQ(pixels[1024 + 1], static_cast<std::uint8_t>(record)) << place;
    EXPECT_EQ(pixels[3071], 0xC8) << place;
    EXPECT_EQ(dataset.labels().data<std::int32_t>()[place], record % 10) << place;
  };
  for (const int record : {0, 1, 9'999}) {
    for (std::uint8_t file = 0; file < 5; ++file) expect_record(cifar.train, file * 10'000 + record, file, record);
    expect_record(cifar.test, record, 5, record);
  }
}

TEST_F(Cifar10, LimitGivesTheFirstImages) {
  const DatasetSplits some = load_cifar10(dir_, 10'002);
  EXPECT_EQ(some.train.size(), 10'002);
  EXPECT_EQ(some.test.size(), 10'000);
  EXPECT_EQ(some.train.images().narrow(10'001, 1).to_vector<std::uint8_t>()[0], 1);
  EXPECT_EQ(load_cifar10(dir_, 3).test.size(), 3);
  EXPECT_THROW(load_cifar10(dir_, 0), std::invalid_argument);
  EXPECT_THROW(load_cifar10(dir_, -1), std::invalid_argument);
}

TEST_F(Cifar10, NamesAMissingDirectoryOrAFileInItsPlace) {
  fs::rename(dir_, dir_.string() + "_away");
  expect_damage(".", 0, "a directory", "no such directory");
  std::ofstream(dir_) << "a file";
  expect_damage(".", 0, "a directory", "a file");
  fs::remove(dir_);
  fs::rename(dir_.string() + "_away", dir_);
}

TEST_F(Cifar10, NamesAMissingFile) {
  for (const std::string& name : {kFiles[0], kFiles[4], kFiles[5], std::string("batches.meta.txt")}) {
    fs::rename(dir_ / name, dir_ / "away");
    expect_damage(name, 0, name.ends_with(".bin") ? "30730000 bytes" : "10 class names", "no such file");
    fs::rename(dir_ / "away", dir_ / name);
  }
}

TEST_F(Cifar10, NamesADirectoryInAFilesPlace) {
  for (const std::string& name : {kFiles[2], std::string("batches.meta.txt")}) {
    fs::rename(dir_ / name, dir_ / "away");
    fs::create_directory(dir_ / name);
    expect_damage(name, 0, name.ends_with(".bin") ? "30730000 bytes" : "10 class names", "a directory");
    fs::remove(dir_ / name);
    fs::rename(dir_ / "away", dir_ / name);
  }
}

TEST_F(Cifar10, NamesAFileThatCannotBeOpened) {
  fs::remove(dir_ / kFiles[1]);
  fs::create_symlink(kFiles[1], dir_ / kFiles[1]);  // to itself
  expect_damage(kFiles[1], 0, "30730000 bytes", "Too many levels of symbolic links");
}

TEST_F(Cifar10, NamesAFileThatMayNotBeRead) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  fs::permissions(dir_ / kFiles[0], fs::perms::none);
  expect_damage(kFiles[0], 0, "a file that can be read", "Permission denied");
}

TEST_F(Cifar10, NamesAShortALongAndAnEmptyFileThoughOnlyOneImageIsWanted) {
  fs::resize_file(dir_ / kFiles[4], kFileSize - 1);
  expect_damage(kFiles[4], kFileSize - 1, "30730000 bytes", "30729999 bytes");
  fs::resize_file(dir_ / kFiles[4], kFileSize + 1);
  expect_damage(kFiles[4], kFileSize, "30730000 bytes", "30730001 bytes");
  fs::resize_file(dir_ / kFiles[4], 0);
  expect_damage(kFiles[4], 0, "30730000 bytes", "an empty file");
}

TEST_F(Cifar10, NamesARecordWhoseLabelIsNone) {
  patch(kFiles[0], 0, "\x0A");
  expect_damage(kFiles[0], 0, "a label from 0 to 9", "10");
  patch(kFiles[0], 0, std::string(1, '\0'));
  patch(kFiles[5], 0, "\xFF");
  expect_damage(kFiles[5], 0, "a label from 0 to 9", "255");
  patch(kFiles[5], 0, std::string(1, '\0'));
  patch(kFiles[1], 7'777 * kRecord, "\x4D");
  try {
    load_cifar10(dir_, 18'000);
    FAIL() << "label 77 was taken";
  } catch (const DataError& error) {
    EXPECT_EQ(error.file(), dir_ / kFiles[1]);
    EXPECT_EQ(error.offset(), 7'777 * kRecord);
    EXPECT_EQ(error.found(), "77");
  }
}

TEST_F(Cifar10, NamesAListOfAnotherNumberOfNames) {
  write("batches.meta.txt", "airplane\nautomobile\n");
  expect_damage("batches.meta.txt", 20, "10 class names, one on each line", "2 names");
  write("batches.meta.txt", "");
  expect_damage("batches.meta.txt", 0, "10 class names", "0 names");
  write("batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\n");
  expect_damage("batches.meta.txt", 22, "10 class names", "11 names");
  write("batches.meta.txt", std::string(100'000, 'x'));
  expect_damage("batches.meta.txt", 4096, "10 class names", "100000 bytes");
}

TEST_F(Cifar10, TakesNamesWithWindowsLineEnds) {
  write("batches.meta.txt", "a\r\nb\r\nc\r\nd\r\ne\r\nf\r\ng\r\nh\r\ni\r\nj\r\n\r\n");
  EXPECT_THAT(load_cifar10(dir_, 1).class_names, ElementsAre("a", "b", "c", "d", "e", "f", "g", "h", "i", "j"));
}

}  // namespace
}  // namespace gpucnn
