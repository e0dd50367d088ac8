#include <gpucnn/data/files/open_dataset.h>

#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/threads/threads.h>
#include <gpucnn/data/tensor_dataset.h>

#include "data/files/idx_bytes.h"
#include "data/files/test_folder.h"
#include "misuse.h"

namespace gpucnn {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class OpenDataset : public ::testing::Test {
 protected:
  /// Files of zeros as the published ones, with `lines` of names.
  void write_cifar(const std::vector<std::string>& names, std::uintmax_t records, std::uintmax_t record, const std::string& list,
                   int lines) {
    for (const std::string& name : names) {
      folder_.write(name, "");
      fs::resize_file(folder_ / name, records * record);
    }
    std::string text;
    for (int i = 0; i < lines; ++i) text += "name" + std::to_string(i) + "\n";
    folder_.write(list, text);
  }

  void write_mnist(const std::vector<std::uint8_t>& pixels, const std::vector<std::uint8_t>& labels) {
    const auto count = static_cast<std::uint32_t>(labels.size());
    folder_.write("train-images-idx3-ubyte.gz", gzip(idx_bytes({count, 1, 2}, pixels)));
    folder_.write("train-labels-idx1-ubyte", idx_bytes({count}, labels));
    folder_.write("t10k-images-idx3-ubyte", idx_bytes({1, 1, 2}, {1, 2}));
    folder_.write("t10k-labels-idx1-ubyte", idx_bytes({1}, {7}));
  }

  /// The folder is refused, and this was found there.
  void expect_refused(const std::string& found) const {
    expect_damage([&] { open_dataset(folder_.path()); }, folder_.path(), 0,
                  "a folder with CIFAR-10 (data_batch_1.bin), CIFAR-100 (train.bin), MNIST (train-images-idx3-ubyte", found);
  }

  const TestFolder folder_{"open_dataset"};
};

TEST_F(OpenDataset, KnowsCifar10) {
  write_cifar(
      {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"},
      10'000, 3073, "batches.meta.txt", 10);
  const OpenedDataset data = open_dataset(folder_.path(), {.limit = 30});
  EXPECT_EQ(data.name, "CIFAR-10");
  EXPECT_EQ(data.train->size(), 30);
  EXPECT_EQ(data.test->size(), 30);
  EXPECT_EQ(data.train->image_shape(), (Shape{3, 32, 32}));
  EXPECT_EQ(data.class_names.size(), 10U);
  EXPECT_THAT(data.normalize.mean, ElementsAre(0.4914, 0.4822, 0.4465));
  EXPECT_THAT(data.normalize.std, ElementsAre(0.2470, 0.2435, 0.2616));
  fs::remove(folder_ / "data_batch_1.bin");
  expect_damage([&] { open_dataset(folder_.path()); }, folder_ / "data_batch_1.bin", 0, "30730000 bytes", "no such file");
}

TEST_F(OpenDataset, KnowsCifar100WithItsFineLabels) {
  write_cifar({"train.bin"}, 50'000, 3074, "fine_label_names.txt", 100);
  write_cifar({"test.bin"}, 10'000, 3074, "coarse_label_names.txt", 20);
  const OpenedDataset data = open_dataset(folder_.path(), {.limit = 3});
  EXPECT_EQ(data.name, "CIFAR-100");
  EXPECT_EQ(data.class_names.size(), 100U);
  EXPECT_THAT(data.normalize.mean, ElementsAre(0.5071, 0.4865, 0.4409));
  EXPECT_THAT(data.normalize.std, ElementsAre(0.2673, 0.2564, 0.2762));
}

TEST_F(OpenDataset, KnowsMnistPackedOrNotAndMeasuresItsPixels) {
  write_mnist({0, 10, 20, 30, 40, 200}, {1, 2, 3});
  const OpenedDataset data = open_dataset(folder_.path());
  EXPECT_EQ(data.name, "MNIST");
  EXPECT_EQ(data.train->size(), 3);
  EXPECT_EQ(data.test->size(), 1);
  EXPECT_EQ(data.train->image_shape(), (Shape{1, 1, 2}));
  EXPECT_EQ(data.class_names[3], "3");
  const double mean = 300.0 / 6, variance = (0 + 100 + 400 + 900 + 1600 + 40'000) / 6.0 - mean * mean;
  ASSERT_EQ(data.normalize.mean.size(), 1U);
  EXPECT_DOUBLE_EQ(data.normalize.mean[0], mean / 255);
  EXPECT_DOUBLE_EQ(data.normalize.std[0], std::sqrt(variance) / 255);
  const OpenedDataset some = open_dataset(folder_.path(), {.limit = 1});
  EXPECT_DOUBLE_EQ(some.normalize.mean[0], 5.0 / 255) << "of what was loaded";
}

TEST_F(OpenDataset, KnowsFashionMnist) {
  write_mnist(some_numbers(20), {9, 0, 0, 3, 0, 2, 7, 2, 5, 5});
  const OpenedDataset data = open_dataset(folder_.path(), {.limit = 1});
  EXPECT_EQ(data.name, "Fashion-MNIST");
  EXPECT_EQ(data.class_names[9], "Ankle boot");
}

TEST_F(OpenDataset, TakesAChannelOfOneValueAsItIs) {
  write_mnist({7, 7, 7, 7}, {1, 2});
  EXPECT_THAT(open_dataset(folder_.path()).normalize.std, ElementsAre(1));
}

TEST_F(OpenDataset, NamesWhatIsMissingOfASetThatIsThereInPart) {
  write_mnist({7, 7, 7, 7}, {1, 2});
  fs::remove(folder_ / "train-images-idx3-ubyte.gz");
  expect_damage([&] { open_dataset(folder_.path()); }, folder_ / "train-images-idx3-ubyte", 0, "train-images-idx3-ubyte.gz",
                "no such file");
  fs::remove(folder_ / "train-labels-idx1-ubyte");
  fs::remove(folder_ / "t10k-images-idx3-ubyte");
  fs::remove(folder_ / "t10k-labels-idx1-ubyte");
  folder_.write("fine_label_names.txt", "");
  folder_.write("test.bin", "");
  expect_damage([&] { open_dataset(folder_.path()); }, folder_ / "train.bin", 0, "153700000 bytes", "no such file");
}

TEST_F(OpenDataset, KnowsASetByAnyOfItsFiles) {
  const auto expect_missing = [&](const std::string& there, const std::string& missing) {
    folder_.write(there, "");
    expect_damage([&] { open_dataset(folder_.path()); }, folder_ / missing, 0, "", "no such file");
    fs::remove(folder_ / there);
  };
  for (const char* name : {"train-labels-idx1-ubyte", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte"}) {
    expect_missing(name, "train-images-idx3-ubyte");
  }
  for (const char* name : {"data_batch_2.bin", "data_batch_5.bin", "test_batch.bin"}) expect_missing(name, "data_batch_1.bin");
  expect_missing("test.bin", "train.bin");
}

TEST_F(OpenDataset, SaysWhatItLookedForAndWhereASetIsInstead) {
  expect_refused("none of them");
  folder_.write("cifar-100-binary.tar.gz", "");
  expect_refused("cifar-100-binary.tar.gz there is not unpacked yet");
  folder_.write("cifar-10-batches-py/data_batch_1", "");
  expect_refused("the version for Python");
  folder_.write("FashionMNIST/raw/t10k-labels-idx1-ubyte.gz", "");
  expect_refused("give " + (folder_ / "FashionMNIST/raw").string());
  folder_.write("cifar-10-batches-bin/data_batch_1.bin", "");
  expect_refused("give " + (folder_ / "cifar-10-batches-bin").string());
}

TEST_F(OpenDataset, SaysWhatStandsInAFoldersPlace) {
  const auto expect_found = [&](const std::string& name, const std::string& found) {
    expect_damage([&] { open_dataset(folder_ / name); }, folder_ / name, 0, "a folder with", found);
  };
  expect_found("none", "no such directory");
  folder_.write("file", "");
  expect_found("file", "a file");
  folder_.write("archive.tar.gz", "");
  expect_found("archive.tar.gz", "an archive; unpack it first");
  folder_.write("t10k-labels-idx1-ubyte.gz", "");
  expect_found("t10k-labels-idx1-ubyte.gz", "a file; give its folder");
  EXPECT_THAT([&] { open_dataset(folder_.path(), {.limit = 0}); }, misuse("limit must be >= 1, got 0"));
}

}  // namespace
}  // namespace gpucnn
