#include <gpucnn/data/sampling/subset.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/sampling/counting.h"
#include "device_test.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using ::testing::ElementsAre;

class SubsetTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, SubsetTest, devices(), device_name);

TEST_P(SubsetTest, IsTheseExamplesInThisOrder) {
  const Subset subset(counting(10, device()), {7, 0, 7, 3});
  EXPECT_EQ(subset.size(), 4);
  EXPECT_EQ(subset.image_shape(), (Shape{1, 1, 1}));
  EXPECT_EQ(subset.device(), device());
  EXPECT_THAT(subset.get(std::vector<std::int64_t>{3, 1}).labels.to_vector<std::int32_t>(), ElementsAre(3, 0));
  DataLoader loader(subset, {.batch_size = 3});
  EXPECT_THAT(labels_of_epoch(loader), ElementsAre(7, 0, 7, 3));
}

TEST_P(SubsetTest, OfASubsetRefersToTheDatasetBelow) {
  const auto all = std::make_shared<const TensorDataset>(counting(10, device()));
  const Subset subset(std::make_shared<const Subset>(all, std::vector<std::int64_t>{9, 8, 7, 6}), {3, 1});
  EXPECT_EQ(&subset.dataset(), all.get());
  EXPECT_THAT(subset.indices(), ElementsAre(6, 8));
}

TEST_P(SubsetTest, IsCroppedAndMirroredAsADatasetOfItsExamples) {
  const Tensor images = Tensor::randn({6, 2, 5, 4}, 1, device()), labels = Tensor::zeros({6}, DType::i32, device());
  const DataLoaderOptions options{
      .batch_size = 4, .shuffle = true, .seed = 3, .normalize = Normalize{{0.1, 0.2}, {0.5, 2}}, .crop_padding = 2, .flip = true};
  DataLoader part(Subset(TensorDataset{images, labels}, {2, 3, 4, 5}), options);
  DataLoader whole(TensorDataset{images.narrow(2, 4), labels.narrow(2, 4)}, options);
  EXPECT_EQ((*part.begin()).inputs.to_vector<float>(), (*whole.begin()).inputs.to_vector<float>());
}

TEST(Subset, MayBeEmpty) {
  DataLoader loader(Subset(counting(3), {}));
  EXPECT_EQ(loader.size(), 0);
  EXPECT_TRUE(labels_of_epoch(loader).empty());
}

TEST(Subset, RefusesANullAndAnIndexOutside) {
  EXPECT_THAT([] { Subset(std::shared_ptr<const Dataset>(), {}); }, misuse("Subset: there is no dataset"));
  EXPECT_THAT([] { Subset(counting(5), {0, 5}); }, misuse("index number 1 must be from 0 to 4 (the dataset's size is 5), got 5"));
  EXPECT_THAT([] { Subset(counting(5), {-1}); }, misuse("got -1"));
}

}  // namespace
}  // namespace gpucnn
