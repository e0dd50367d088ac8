#include <gpucnn/data/files/mnist.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>

#include "data/files/idx_bytes.h"
#include "data/files/test_folder.h"

namespace gpucnn {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

constexpr const char* kTrainImages = "train-images-idx3-ubyte";
constexpr const char* kTrainLabels = "train-labels-idx1-ubyte.gz";
constexpr const char* kTestImages = "t10k-images-idx3-ubyte.gz";
constexpr const char* kTestLabels = "t10k-labels-idx1-ubyte";

/// Twelve training and three test images of 2 x 3; two of the files are packed.
class Mnist : public ::testing::Test {
 protected:
  Mnist() {
    folder_.write(kTrainImages, idx_bytes({12, 2, 3}, some_numbers(72)));
    folder_.write(kTrainLabels, gzip(idx_bytes({12}, labels_)));
    folder_.write(kTestImages, gzip(idx_bytes({3, 2, 3}, some_numbers(18))));
    folder_.write(kTestLabels, idx_bytes({3}, {7, 2, 1}));
  }

  void expect_refused(const std::string& name, std::uint64_t offset, const std::string& expected, const std::string& found) const {
    expect_damage([&] { load_mnist(folder_.path(), 1); }, folder_ / name, offset, expected, found);
  }

  std::vector<std::uint8_t> labels_{5, 0, 4, 1, 9, 2, 1, 3, 1, 4, 3, 5};
  const TestFolder folder_{"mnist"};
};

TEST_F(Mnist, HasEveryImageAndLabelInItsPlaceAndTheDigitsAsNames) {
  const DatasetSplits mnist = load_mnist(folder_.path());
  EXPECT_EQ(mnist.train.images().shape(), (Shape{12, 1, 2, 3}));
  EXPECT_EQ(mnist.train.images().to_vector<std::uint8_t>(), some_numbers(72));
  EXPECT_EQ(mnist.train.labels().to_vector<std::int32_t>(), (std::vector<std::int32_t>(labels_.begin(), labels_.end())));
  EXPECT_EQ(mnist.test.images().shape(), (Shape{3, 1, 2, 3}));
  EXPECT_EQ(mnist.test.images().to_vector<std::uint8_t>(), some_numbers(18));
  EXPECT_THAT(mnist.test.labels().to_vector<std::int32_t>(), ElementsAre(7, 2, 1));
  EXPECT_THAT(mnist.class_names, ElementsAre("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"));
}

TEST_F(Mnist, KnowsFashionMnistByItsFirstTenLabels) {
  folder_.write(kTrainLabels, idx_bytes({12}, {9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 0, 9}));
  const std::vector<std::string> names = load_mnist(folder_.path(), 1).class_names;
  EXPECT_THAT(
      names, ElementsAre("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"));
  folder_.write(kTrainLabels, idx_bytes({12}, {9, 0, 0, 3, 0, 2, 7, 2, 5, 4, 0, 9}));
  EXPECT_EQ(load_mnist(folder_.path(), 1).class_names[0], "0");
}

TEST_F(Mnist, LimitGivesTheFirstImages) {
  const DatasetSplits some = load_mnist(folder_.path(), 5);
  EXPECT_EQ(some.train.size(), 5);
  EXPECT_EQ(some.test.size(), 3);
  EXPECT_EQ(some.train.images().to_vector<std::uint8_t>(), some_numbers(30));
  EXPECT_THAT(some.train.labels().to_vector<std::int32_t>(), ElementsAre(5, 0, 4, 1, 9));
  EXPECT_THROW(load_mnist(folder_.path(), 0), std::invalid_argument);
}

TEST_F(Mnist, NamesAMissingFolderOrFile) {
  const fs::path none = folder_ / "none";
  expect_damage([&] { load_mnist(none); }, none, 0, "a directory", "no such directory");
  expect_damage([&] { load_mnist(folder_ / kTrainImages); }, folder_ / kTrainImages, 0, "a directory", "a file");
  fs::remove(folder_ / kTestImages);
  expect_refused("t10k-images-idx3-ubyte", 0, "or t10k-images-idx3-ubyte.gz", "no such file");
  fs::create_directories(none / "MNIST/raw");
  expect_damage([&] { load_mnist(none); }, none, 0, "four files", "none/MNIST/raw");
}

TEST_F(Mnist, NamesFilesThatDoNotFitTogether) {
  folder_.write(kTrainLabels, idx_bytes({11}, some_numbers(11)));
  expect_refused(kTrainLabels, 4, "12 labels", "11");
  folder_.write(kTrainLabels, idx_bytes({12}, labels_));
  folder_.write(kTestImages, idx_bytes({3, 3, 2}, some_numbers(18)));
  expect_refused(kTestImages, 8, "images of 2 x 3", "3 x 2");
}

TEST_F(Mnist, NamesFilesOfAnotherRankAndSetsWithoutImages) {
  folder_.write(kTestImages, idx_bytes({18}, some_numbers(18)));
  expect_refused(kTestImages, 3, "3 dimensions (images, rows, columns)", "1");
  folder_.write(kTestImages, idx_bytes({0, 2, 3}, {}));
  expect_refused(kTestImages, 4, "an image or more", "[0, 2, 3]");
  folder_.write(kTestImages, idx_bytes({3, 2, 3}, some_numbers(18)));
  folder_.write(kTestLabels, idx_bytes({3, 1}, {1, 2, 3}));
  expect_refused(kTestLabels, 3, "1 dimensions (labels)", "2");
}

TEST_F(Mnist, NamesALabelThatIsNoneAlsoBehindTheLimit) {
  labels_[11] = 10;
  folder_.write(kTrainLabels, gzip(idx_bytes({12}, labels_)));
  expect_refused(kTrainLabels, 8 + 11, "a label from 0 to 9", "10");
}

TEST_F(Mnist, FindsDamageBehindTheLimit) {
  const std::string packed = gzip(idx_bytes({3, 2, 3}, some_numbers(18)));
  folder_.write(kTestImages, packed.substr(0, packed.size() - 3));
  expect_refused(kTestImages, packed.size() - 3, "the rest of the gzip data", "the end of the file");
}

}  // namespace
}  // namespace gpucnn
