#include <gpucnn/data/sampling/concat_dataset.h>

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/sampling/subset.h>

#include "data/sampling/counting.h"
#include "device_test.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using ::testing::ElementsAre;

class ConcatDatasetTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ConcatDatasetTest, devices(), device_name);

TEST_P(ConcatDatasetTest, IsOneBehindTheOther) {
  const ConcatDataset all(counting(3, device()), counting(0, device()), counting(2, device(), 100), counting(4, device(), 200));
  EXPECT_EQ(all.size(), 9);
  EXPECT_EQ(all.device(), device());
  DataLoader loader(all, {.batch_size = 4});
  EXPECT_THAT(labels_of_epoch(loader), ElementsAre(0, 1, 2, 100, 101, 200, 201, 202, 203));
  const Batch some = all.get(std::vector<std::int64_t>{8, 0, 3, 0, 5});
  EXPECT_THAT(some.labels.to_vector<std::int32_t>(), ElementsAre(203, 0, 100, 0, 200));
  EXPECT_THAT(some.inputs.to_vector<float>(), ElementsAre(203, 0, 100, 0, 200));
}

TEST_P(ConcatDatasetTest, AlternatesFlipsWhateverLiesInABatch) {
  const TensorDataset pairs{Tensor::from(std::vector<float>{0, 1, 0, 1, 0, 1, 0, 1}, {4, 1, 1, 2}, device()),
                            Tensor::zeros({4}, DType::i32, device())};
  DataLoader loader(ConcatDataset(Subset(pairs, {3, 1, 0}), pairs),
                    {.batch_size = 2, .shuffle = true, .seed = 1, .alternating_flip = true});
  std::vector<std::vector<float>> left;  // pixel of each example, epoch by epoch
  for (int epoch = 0; epoch < 6; ++epoch) {
    left.emplace_back(7);
    std::size_t i = 0;
    for (const Batch& batch : loader) {
      const std::vector<float> pixels = batch.inputs.to_vector<float>();
      for (std::size_t n = 0; n < pixels.size(); n += 2) left.back()[static_cast<std::size_t>(loader.order()[i++])] = pixels[n];
    }
    if (epoch == 0) continue;
    for (std::size_t example = 0; example < 7; ++example) {
      EXPECT_NE(left[left.size() - 1][example], left[left.size() - 2][example]) << "example " << example << ", epoch " << epoch;
    }
  }
}

TEST_P(ConcatDatasetTest, IsCroppedMirroredAndNormalizedAsOneTensorOfAll) {
  std::vector<std::uint8_t> pixels(9 * 3 * 5 * 4);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 37 + i / 50);
  const Tensor images = Tensor::from(pixels, {9, 3, 5, 4}, device()), labels = Tensor::zeros({9}, DType::u8, device());
  const DataLoaderOptions options{.batch_size = 7,
                                  .shuffle = true,
                                  .seed = 3,
                                  .normalize = Normalize{{0.1, 0.2, 0.3}, {0.5, 2, 0.3}},
                                  .crop_padding = 2,
                                  .flip = true};
  DataLoader parts(ConcatDataset(TensorDataset{images.narrow(0, 4), labels.narrow(0, 4)},
                                 TensorDataset{images.narrow(4, 5), labels.narrow(4, 5)}),
                   options);
  DataLoader whole(TensorDataset{images, labels}, options);
  EXPECT_EQ((*parts.begin()).inputs.to_vector<float>(), (*whole.begin()).inputs.to_vector<float>());
}

TEST_P(ConcatDatasetTest, TakesTargetsThatAreNumbers) {
  const Tensor image = Tensor::zeros({1, 1, 1, 1}, DType::f32, device());
  const ConcatDataset all(TensorDataset{image, tensor<float>({1, 2}, {1, 2})}, TensorDataset{image, tensor<float>({3, 4}, {1, 2})});
  EXPECT_THAT(all.get(std::vector<std::int64_t>{1, 0}).labels.to_vector<float>(), ElementsAre(3, 4, 1, 2));
  const ConcatDataset mixed(TensorDataset{image, tensor<float>({1, 2}, {1, 2})}, counting(1, device()));
  EXPECT_THAT(
      [&] {
        mixed.get(std::vector<std::int64_t>{1, 0});
      },
      misuse("dataset number 1 has labels i32 [1], those before it f32 [1, 2]"));
}

TEST(ConcatDataset, RefusesNoneANullAndImagesOfAnotherShape) {
  using Datasets = std::vector<std::shared_ptr<const Dataset>>;
  EXPECT_THAT([] { ConcatDataset(Datasets{}); }, misuse("there is no dataset"));
  EXPECT_THAT(
      [] {
        ConcatDataset(Datasets{std::make_shared<TensorDataset>(counting(1)), nullptr});
      },
      misuse("dataset number 1 is none"));
  const TensorDataset wide(Tensor::zeros({1, 1, 1, 2}), Tensor::zeros({1}, DType::i32));
  EXPECT_THAT([&] { ConcatDataset(counting(1), wide); },
              misuse("dataset number 1 has images [1, 1, 2] on cpu, the first has [1, 1, 1] on cpu"));
}

TEST(ConcatDataset, RefusesANumberOutside) {
  const ConcatDataset all(counting(1), counting(1));
  EXPECT_THAT([&] { all.get(std::vector<std::int64_t>{0, 2}); }, misuse("from 0 to 1, got 0, 2"));
  EXPECT_THAT([&] { all.get(std::vector<std::int64_t>{-1}); }, misuse("from 0 to 1, got -1"));
}

}  // namespace
}  // namespace gpucnn
