#include <gpucnn/data/data_loader.h>

#include <limits>
#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/sampling/subset.h>
#include <gpucnn/data/tensor_dataset.h>

#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"

namespace gpucnn {
namespace {

/// `size` images of random bytes with labels 0 to 4.
TensorDataset drawn(std::int64_t size, Device device) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (const float value : Tensor::randn({size, 3, 12, 10}, 3).to_vector<float>()) {
    pixels.push_back(static_cast<std::uint8_t>(std::clamp(value * 60 + 128, 0.0F, 255.0F)));
  }
  for (std::int64_t n = 0; n < size; ++n) labels.push_back(static_cast<std::int32_t>(n % 5));
  return TensorDataset(Tensor::from(pixels, {size, 3, 12, 10}), Tensor::from(labels, {size})).to(device);
}

/// Everything at once.
DataLoaderOptions all_options(std::int64_t batch_size) {
  return {.batch_size = batch_size,
          .shuffle = true,
          .seed = 7,
          .normalize = Normalize{{0.5, 0.4, 0.3}, {0.2, 0.3, 0.25}},
          .alternating_flip = true,
          .random_resized_crop = RandomResizedCropOptions{.size = {7, 8}},
          .color_jitter = {.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1},
          .cutout = 4,
          .mix = {.mixup_alpha = 0.2, .cutmix_alpha = 1, .num_classes = 5}};
}

/// An epoch's inputs and labels, f32.
std::vector<float> epoch_of(DataLoader& loader) {
  std::vector<float> all;
  for (const Batch& batch : loader) {
    for (const Tensor& tensor : {batch.inputs, batch.labels}) {
      const std::vector<float> values = tensor.to_vector<float>();
      all.insert(all.end(), values.begin(), values.end());
    }
  }
  return all;
}

class AugmentationTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, AugmentationTest, devices(), device_name);

TEST_P(AugmentationTest, DeliversImagesOfTheSizeAskedForAndProbabilities) {
  DataLoader loader(drawn(23, device()), all_options(10));
  std::int64_t batches = 0;
  for (const Batch& batch : loader) {
    const std::int64_t N = ++batches < 3 ? 10 : 3;
    EXPECT_EQ(batch.inputs.shape(), (Shape{N, 3, 7, 8}));
    EXPECT_EQ(batch.labels.shape(), (Shape{N, 5}));
    EXPECT_EQ(batch.labels.dtype(), DType::f32);
    const std::vector<float> rows = batch.labels.to_vector<float>();
    for (std::size_t n = 0; n < rows.size(); n += 5) EXPECT_NEAR(std::accumulate(&rows[n], &rows[n] + 5, 0.0F), 1, 1e-6);
  }
  EXPECT_EQ(batches, 3);
}

TEST_P(AugmentationTest, AnEpochDependsOnSeedAndNumberAndNotOnTheThreads) {
  const TensorDataset dataset = drawn(40, device());
  std::vector<float> expected;
  everywhere(device(), [&] {
    DataLoader loader(dataset, all_options(16));
    return expected = epoch_of(loader);
  });
  DataLoader loader(dataset, all_options(16));
  loader.set_epoch(1);
  EXPECT_NE(epoch_of(loader), expected);
  loader.set_epoch(0);
  EXPECT_EQ(epoch_of(loader), expected);
  DataLoaderOptions other = all_options(16);
  other.seed = 8;
  DataLoader another(dataset, other);
  EXPECT_NE(epoch_of(another), expected);
}

TEST_P(AugmentationTest, BothDevicesMakeTheSame) {
  DataLoader here(drawn(40, Device::cpu()), all_options(16)), there(drawn(40, device()), all_options(16));
  for (int epoch = 0; epoch < 3; ++epoch) expect_close(epoch_of(there), as_doubles(epoch_of(here)), {0, 0, 1e-4});
}

/// The same examples, not as a TensorDataset.
class ByGet : public Dataset {
 public:
  explicit ByGet(TensorDataset dataset) : dataset_(std::move(dataset)) {}
  std::int64_t size() const override { return dataset_.size(); }
  Shape image_shape() const override { return dataset_.image_shape(); }
  Device device() const override { return dataset_.device(); }
  Batch get(std::span<const std::int64_t> indices) const override { return dataset_.get(indices); }

 private:
  TensorDataset dataset_;
};

TEST_P(AugmentationTest, IsTheSameForEveryKindOfDataset) {
  DataLoader loader(ByGet(drawn(40, device())), all_options(16)), same(drawn(40, device()), all_options(16));
  for (int epoch = 0; epoch < 2; ++epoch) EXPECT_EQ(epoch_of(loader), epoch_of(same));
}

TEST_P(AugmentationTest, IsTheSameForAPartOfEveryKindOfDataset) {
  const std::vector<std::int64_t> part{39, 3, 17, 4, 5, 20, 21, 0, 30, 31};
  DataLoader loader(Subset(ByGet(drawn(40, device())), part), all_options(4)),
      same(Subset(drawn(40, device()), part), all_options(4));
  for (int epoch = 0; epoch < 2; ++epoch) EXPECT_EQ(epoch_of(loader), epoch_of(same));
}

TEST_P(AugmentationTest, WorkersThatFetchAheadMakeTheSame) {
  DataLoaderOptions ahead = all_options(7);
  ahead.num_workers = 3;
  DataLoader loader(drawn(40, device()), ahead), same(drawn(40, device()), all_options(7));
  for (int epoch = 0; epoch < 3; ++epoch) EXPECT_EQ(epoch_of(loader), epoch_of(same));
}

TEST_P(AugmentationTest, ImagesThatASamplerDrawsTwiceAreAugmentedTwice) {
  DataLoaderOptions options = all_options(10);
  options.shuffle = false;
  options.mix = {};
  options.sampler = WeightedRandomSampler{.weights = std::vector<double>{0, 1}, .num_samples = 10};
  DataLoader loader(drawn(2, device()), options);
  const std::vector<float> values = (*loader.begin()).inputs.to_vector<float>();
  const std::size_t size = values.size() / 10;
  for (std::size_t i = 1; i < 10; ++i) {
    EXPECT_FALSE(std::equal(&values[0], &values[0] + size, &values[i * size])) << i;
  }
}

TEST_P(AugmentationTest, FlipsThatAlternateShowEveryImageFromBothSidesInTwoEpochs) {
  // An image of two pixels, 0 and 1.
  std::vector<float> many;
  for (int n = 0; n < 50; ++n) many.insert(many.end(), {0, 1});
  DataLoader loader(TensorDataset(tensor(many, {50, 1, 1, 2}), tensor(std::vector<std::int32_t>(50), {50})),
                    {.batch_size = 50, .shuffle = true, .alternating_flip = true});
  std::vector<std::vector<int>> sides(2, std::vector<int>(50));
  for (std::vector<int>& side : sides) {
    const std::vector<float> values = (*loader.begin()).inputs.to_vector<float>();
    for (std::size_t i = 0; i < 50; ++i) side[static_cast<std::size_t>(loader.order()[i])] = static_cast<int>(values[2 * i]);
  }
  for (std::size_t n = 0; n < 50; ++n) EXPECT_EQ(sides[0][n] + sides[1][n], 1) << n;
  EXPECT_NEAR(std::accumulate(sides[0].begin(), sides[0].end(), 0), 25, 15);
}

TEST_P(AugmentationTest, CutsOutBehindNormalising) {
  const TensorDataset dataset{Tensor::full({8, 1, 2, 2}, 1, device()), Tensor::zeros({8}, DType::u8, device())};
  DataLoader loader(dataset, {.batch_size = 8, .normalize = Normalize{{0.5}, {0.25}}, .cutout = 1});
  const std::vector<float> values = (*loader.begin()).inputs.to_vector<float>();
  EXPECT_EQ(std::ranges::count(values, 0.0F), 8);
  EXPECT_EQ(std::ranges::count(values, 2.0F), 24);
}

TEST_P(AugmentationTest, NamesALabelThatIsNoClassWhenItMixes) {
  DataLoader loader(drawn(20, device()), {.batch_size = 20, .mix = {.mixup_alpha = 1, .num_classes = 4}});
  EXPECT_THAT([&] { (*loader.begin()).labels.to_vector<float>(); }, misuse("label 4 at index 4 is outside [0, 4)"));
}

TEST_P(AugmentationTest, RefusesOptionsThatMakeNoSense) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refuses = [&](const DataLoaderOptions& options, const char* message) {
    EXPECT_THAT([&] { DataLoader(drawn(4, device()), options); }, misuse(message));
  };
  refuses({.color_jitter = {.brightness = -1}}, "DataLoader: brightness must be finite and >= 0, got -1");
  refuses({.color_jitter = {.contrast = nan}}, "DataLoader: contrast must be finite and >= 0, got nan");
  refuses({.color_jitter = {.hue = 0.51}}, "DataLoader: hue must be in [0, 0.5], got 0.51");
  refuses({.random_resized_crop = RandomResizedCropOptions{.scale = {0.5, 1.1}}},
          "DataLoader: the scale of random_resized_crop must lie in (0, 1] and not fall, got 0.5 to 1.1");
  refuses({.crop_padding = 4, .random_resized_crop = RandomResizedCropOptions{}},
          "DataLoader: takes random_resized_crop or crop_padding, got both");
  refuses({.flip = true, .alternating_flip = true}, "DataLoader: takes flip or alternating_flip, got both");
  refuses({.cutout = 11}, "DataLoader: cutout of 11 is larger than the images, 12 by 10");
  refuses({.cutout = -1}, "DataLoader: cutout must be >= 0, got -1");
  refuses({.mix = {.mixup_alpha = 0.2}}, "DataLoader: num_classes must be from 1 to 2^31 - 1 for mixup and cutmix, got 0");
  refuses({.mix = {.cutmix_alpha = nan, .num_classes = 5}}, "DataLoader: cutmix_alpha must be finite and >= 0, got nan");
  const Tensor images = Tensor::zeros({4, 4, 2, 2}, DType::u8, device()), targets = Tensor::zeros({4, 5}, DType::f32, device());
  EXPECT_THAT([&] { DataLoader(TensorDataset(images, targets), {.mix = {.mixup_alpha = 1, .num_classes = 5}}); },
              misuse("DataLoader: mixup and cutmix take labels of classes, but the dataset has f32 targets [4, 5]"));
  DataLoader late(ByGet(TensorDataset(images, targets)), {.mix = {.mixup_alpha = 1, .num_classes = 5}});
  EXPECT_THAT([&] { late.begin(); },
              misuse("DataLoader: mixup and cutmix take labels of classes, but the dataset has f32 targets"));
  EXPECT_THAT([&] { DataLoader(TensorDataset(images, targets), {.color_jitter = {.hue = 0.1}}); },
              misuse("DataLoader: colours can be changed in images of 1 or 3 channels, got 4"));
}

}  // namespace
}  // namespace gpucnn
