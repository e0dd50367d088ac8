#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/random.h>
#include <gpucnn/kernels/augment/color_jitter.h>
#include <gpucnn/kernels/augment/cutout.h>
#include <gpucnn/kernels/image/image_batch.h>
#include <gpucnn/kernels/image/resized_crop.h>

#include "device_test.h"
#include "everywhere.h"
#include "kernels/augment/distribution.h"
#include "misuse.h"
#include "reference/augment.h"

namespace gpucnn::kernels {
namespace {

using Indices = std::vector<std::int64_t>;

class AugmentedBatchTest : public DeviceTest {
 protected:
  Tensor bytes(const Shape& shape) const {
    const RandomStream random(1, Purpose::normal);
    std::vector<std::uint8_t> values(static_cast<std::size_t>(shape.numel()));
    for (std::size_t e = 0; e < values.size(); ++e) values[e] = static_cast<std::uint8_t>(random.word(e));
    return tensor(values, shape);
  }

  Tensor batch_of(const Tensor& images, const Indices& indices, const ImageTransform& transform) {
    const auto N = static_cast<std::int64_t>(indices.size());
    Tensor batch = Tensor::full(transform.batch_shape(images.shape(), N), -99, device());
    image_batch(images, indices, transform, batch, stream());
    return batch;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, AugmentedBatchTest, devices(), device_name);

/// Numbers of 0 to count - 1 in some order, some of them twice.
Indices some(std::int64_t count, std::int64_t images) {
  Indices indices;
  for (std::int64_t i = 0; i < count; ++i) indices.push_back(i * 7 % images);
  return indices;
}

/// The contract of random resized crops in float64, mirrored and normalised.
std::vector<double> resized_reference(const Tensor& images, const Indices& indices, const ImageTransform& transform) {
  const std::int64_t C = images.dim(1), H = images.dim(2), W = images.dim(3);
  std::vector<double> values;
  if (images.dtype() == DType::u8) {
    for (const std::uint8_t value : images.to_vector<std::uint8_t>()) values.push_back(value / 255.0);
  } else {
    values = as_doubles(images.to_vector<float>());
  }
  const auto pictures = reference::pictures_of(values, images.dim(0), C, H, W);
  const Shape batch = transform.batch_shape(images.shape(), 1);
  std::vector<reference::Picture> made;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const std::uint64_t e = static_cast<std::uint64_t>(transform.first) + i;
    const RandomStream words(transform.seed, Purpose::augment, 2, transform.epoch);
    const auto uniform = [&](std::uint64_t word, double low, double high) {
      return low + (high - low) * static_cast<double>(words.uniform(word));
    };
    std::int64_t h = 0, w = 0, top = -1, left = -1;
    for (std::uint64_t t = 0; t < 10 && top < 0; ++t) {
      const auto [scale_low, scale_high] = transform.random_resized_crop->scale;
      const auto [ratio_low, ratio_high] = transform.random_resized_crop->ratio;
      const std::uint64_t word = 4 * (10 * e + t);
      const double area = uniform(word, scale_low, scale_high) * static_cast<double>(H * W);
      const double ratio = std::exp(uniform(word + 1, std::log(ratio_low), std::log(ratio_high)));
      w = std::lrint(std::sqrt(area * ratio)), h = std::lrint(std::sqrt(area / ratio));
      if (w < 1 || w > W || h < 1 || h > H) continue;
      top = words.below(word + 2, static_cast<std::uint32_t>(H - h + 1));
      left = words.below(word + 3, static_cast<std::uint32_t>(W - w + 1));
    }
    if (top < 0) {  // the golden test holds the middle against torchvision's
      const CropBox box = crop_box(crop_ranges(*transform.random_resized_crop), transform.position(), e, H, W);
      h = box.height, w = box.width, top = box.top, left = box.left;
    }
    made.push_back(reference::resized_crop(pictures[static_cast<std::size_t>(indices[i])], top, left, h, w, batch[2], batch[3]));
    const bool mirrored = transform.flip && RandomStream(transform.seed, Purpose::flip, 0, transform.epoch).word(e) >> 31 == 1;
    if (mirrored) made.back() = reference::mirrored(made.back());
    if (transform.mean.empty()) continue;
    for (std::int64_t c = 0; c < C; ++c) {
      const auto mean = static_cast<double>(transform.mean[static_cast<std::size_t>(c)]);
      const auto std = static_cast<double>(transform.std[static_cast<std::size_t>(c)]);
      for (std::int64_t row = 0; row < batch[2]; ++row) {
        for (std::int64_t column = 0; column < batch[3]; ++column) {
          made.back().at(c, row, column) = (made.back().at(c, row, column) - mean) / std;
        }
      }
    }
  }
  return reference::values_of(made);
}

TEST_P(AugmentedBatchTest, ResizesARandomPartAsTorchvisionDoes) {
  for (const Shape& shape :
       {Shape{5, 3, 32, 32}, Shape{4, 1, 1, 1}, Shape{4, 1, 31, 3}, Shape{3, 17, 5, 33}, Shape{2, 3, 70, 90}}) {
    const std::vector<float> mean(static_cast<std::size_t>(shape[1]), 0.4F), std(static_cast<std::size_t>(shape[1]), 0.3F);
    const Indices indices = some(12, shape[0]);
    for (const Size2 size : {Size2(0), Size2(1), Size2(7, 5), Size2(3, 130)}) {
      for (const bool normalize : {false, true}) {
        SCOPED_TRACE(shape.string() + " to " + std::to_string(size.height) + " by " + std::to_string(size.width));
        ImageTransform transform{
            .flip = true, .random_resized_crop = RandomResizedCropOptions{.size = size}, .seed = 5, .epoch = 2, .first = 1000};
        if (normalize) transform.mean = mean, transform.std = std;
        for (const Tensor& images : {bytes(shape), Tensor::randn(shape, 3, device())}) {
          const std::vector<double> expected = resized_reference(images, indices, transform);
          expect_close(batch_of(images, indices, transform).to_vector<float>(), expected, kSum);
        }
      }
    }
  }
}

TEST_P(AugmentedBatchTest, APartOfOneSizeIsTheImageItself) {
  const Tensor images = Tensor::randn({5, 3, 8, 9}, 1, device());
  const ImageTransform transform{.random_resized_crop = RandomResizedCropOptions{.scale = {1, 1}, .ratio = {9. / 8, 9. / 8}}};
  EXPECT_EQ(batch_of(images, {0, 1, 2, 3, 4}, transform).to_vector<float>(), images.to_vector<float>());
}

TEST_P(AugmentedBatchTest, FlipsThatAlternateTurnEveryImageInEverySecondEpoch) {
  const Tensor images = Tensor::randn({200, 3, 4, 5}, 1, device());
  const Indices indices = some(300, 200);
  std::vector<int> coins(2);
  for (const std::uint64_t epoch : {0U, 1U, 2U, 7U}) {
    const auto values =
        batch_of(images, indices, {.alternating_flip = true, .seed = 4, .epoch = epoch, .first = 1000}).to_vector<float>();
    const auto plain = reference::pictures_of(as_doubles(batch_of(images, indices, {}).to_vector<float>()), 300, 3, 4, 5);
    std::vector<reference::Picture> expected;
    for (std::size_t i = 0; i < indices.size(); ++i) {
      const bool coin = RandomStream(4, Purpose::flip, 1).word(static_cast<std::uint64_t>(indices[i])) >> 31 == 1;
      ++coins[coin];
      expected.push_back(coin == (epoch % 2 == 0) ? reference::mirrored(plain[i]) : plain[i]);
    }
    EXPECT_EQ(as_doubles(values), reference::values_of(expected)) << epoch;
  }
  expect_equally_frequent(coins);
}

TEST_P(AugmentedBatchTest, FlipsThatAlternateGoByTheNumbersThatAreGiven) {
  const Tensor images = Tensor::randn({6, 3, 4, 5}, 1, device());
  const Indices all{0, 1, 2, 3, 4, 5}, numbers{40, 30, 1000, 2, 7, 5};
  Tensor many = Tensor::zeros({1001, 3, 4, 5}, DType::f32, device());
  for (std::size_t i = 0; i < 6; ++i) many.narrow(numbers[i], 1).copy_from(images.narrow(static_cast<std::int64_t>(i), 1));
  EXPECT_EQ(batch_of(images, all, {.alternating_flip = true, .seed = 1, .numbers = numbers}).to_vector<float>(),
            batch_of(many, numbers, {.alternating_flip = true, .seed = 1}).to_vector<float>());
  EXPECT_THAT(
      [&] {
        batch_of(images, {1, 2}, {.alternating_flip = true, .numbers = numbers});
      },
      misuse("image_batch: 2 images need as many numbers, got 6"));
}

TEST_P(AugmentedBatchTest, ChangesColoursThenNormalisesThenCutsOut) {
  const std::vector<float> mean{0.5F, 0.4F, 0.3F}, std{0.2F, 0.3F, 0.25F};
  const Tensor images = bytes({9, 3, 16, 12});
  const Indices indices = some(20, 9);
  const ColorJitterOptions colors{0.4, 0.4, 0.4, 0.1};
  ImageTransform transform{.crop_padding = 2, .flip = true, .seed = 5, .epoch = 2, .first = 100};
  Tensor expected = batch_of(images, indices, transform);
  color_jitter(expected, colors, transform.position(), stream());
  expected = batch_of(expected,
                      [] {
                        Indices all;
                        for (std::int64_t i = 0; i < 20; ++i) all.push_back(i);
                        return all;
                      }(),
                      {.mean = mean, .std = std});
  cutout(expected, 5, transform.position(), stream());
  transform.mean = mean;
  transform.std = std;
  transform.color_jitter = colors;
  transform.cutout = 5;
  EXPECT_EQ(batch_of(images, indices, transform).to_vector<float>(), expected.to_vector<float>());
}

TEST_P(AugmentedBatchTest, DoesNotDependOnTheNumberOfThreads) {
  const Tensor images = bytes({40, 3, 32, 32});
  const ImageTransform transform{.alternating_flip = true,
                                 .random_resized_crop = RandomResizedCropOptions{.size = 20},
                                 .color_jitter = {0.4, 0.4, 0.4, 0.1},
                                 .cutout = 6};
  everywhere(device(), [&] { return batch_of(images, some(100, 40), transform).to_vector<float>(); });
}

TEST_P(AugmentedBatchTest, RefusesWhatItsContractDoesNotAllow) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor images = bytes({4, 3, 6, 8});
  const auto refuses = [&](const ImageTransform& transform, const char* message) {
    EXPECT_THAT([&] { batch_of(images, {0}, transform); }, misuse(message));
  };
  const auto crop = [](Size2 size, std::pair<double, double> scale, std::pair<double, double> ratio) {
    return ImageTransform{.random_resized_crop = RandomResizedCropOptions{size, scale, ratio}};
  };
  refuses(crop(0, {0, 1}, {1, 1}), "image_batch: the scale of random_resized_crop must lie in (0, 1] and not fall, got 0 to 1");
  refuses(crop(0, {0.5, 1.5}, {1, 1}), "(0, 1] and not fall, got 0.5 to 1.5");
  refuses(crop(0, {0.5, 0.4}, {1, 1}), "(0, 1] and not fall, got 0.5 to 0.4");
  refuses(crop(0, {nan, 1}, {1, 1}), "(0, 1] and not fall, got nan to 1");
  refuses(crop(0, {0.5, 1}, {0, 1}), "the ratio of random_resized_crop must be finite, > 0 and not fall, got 0 to 1");
  refuses(crop(0, {0.5, 1}, {2, 1}), "got 2 to 1");
  refuses(crop(0, {0.5, 1}, {1, nan}), "got 1 to nan");
  const RandomResizedCropOptions negative{.size = Size2(-1, 3)};
  Tensor batch = empty({1, 3, 6, 3});
  EXPECT_THAT([&] { image_batch(images, Indices{0}, {.random_resized_crop = negative}, batch, stream()); },
              misuse("the size of random_resized_crop must be >= 0, got -1 by 3"));
  refuses({.crop_padding = 1, .random_resized_crop = RandomResizedCropOptions{}},
          "takes random_resized_crop or crop_padding, got both");
  refuses({.flip = true, .alternating_flip = true}, "takes flip or alternating_flip, got both");
  refuses({.color_jitter = {.hue = 0.7}}, "image_batch: hue must be in [0, 0.5], got 0.7");
  refuses({.cutout = 7}, "image_batch: cutout of 7 is larger than the images, 6 by 8");
  refuses({.random_resized_crop = RandomResizedCropOptions{.size = 4}, .cutout = 5},
          "cutout of 5 is larger than the images, 4 by 4");
  Tensor other = empty({1, 3, 6, 8});
  EXPECT_THAT(
      [&] { image_batch(images, Indices{0}, {.random_resized_crop = RandomResizedCropOptions{.size = 4}}, other, stream()); },
      misuse("image_batch: batch must be [1, 3, 4, 4], got [1, 3, 6, 8]"));
  const Tensor none = empty({4, 3, 0, 8});
  EXPECT_THAT([&] { batch_of(none, {0}, {.random_resized_crop = RandomResizedCropOptions{}}); },
              misuse("random_resized_crop needs pixels, got images of 0 by 8"));
}

TEST(CropBox, IsDrawnUniformlyInScaleLogRatioAndPlace) {
  const CropRanges ranges = crop_ranges({.scale = {0.08, 0.5}});  // all of these fit
  std::vector<double> scales, ratios, rows, columns;
  for (std::uint64_t position = 0; position < 20'000; ++position) {
    const CropBox box = crop_box(ranges, {.seed = 3, .epoch = 1}, position, 30'000, 20'000);
    const auto height = static_cast<double>(box.height), width = static_cast<double>(box.width);
    scales.push_back(height * width / 6e8);
    ratios.push_back(std::log(width / height));
    rows.push_back(static_cast<double>(box.top) / (30'000 - height));
    columns.push_back(static_cast<double>(box.left) / (20'000 - width));
  }
  const auto uniform = [](double low, double high) {
    return [=](double x) { return std::clamp((x - low) / (high - low), 0.0, 1.0); };
  };
  expect_distributed(scales, uniform(0.08, 0.5));
  expect_distributed(ratios, uniform(std::log(0.75), std::log(4. / 3)));
  expect_distributed(rows, uniform(0, 1));
  expect_distributed(columns, uniform(0, 1));
}

TEST(CropBox, LiesInTheImage) {
  const CropRanges ranges = crop_ranges({});
  for (const auto& [H, W] : {std::pair(1, 1), std::pair(1, 7), std::pair(9, 2), std::pair(32, 32), std::pair(5, 200)}) {
    for (std::uint64_t position = 0; position < 1000; ++position) {
      const CropBox box = crop_box(ranges, {.seed = 3}, position, H, W);
      ASSERT_TRUE(box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0 && box.top + box.height <= H &&
                  box.left + box.width <= W);
    }
  }
}

}  // namespace
}  // namespace gpucnn::kernels
