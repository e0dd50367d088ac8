#include <gpucnn/kernels/image/image_batch.h>

#include <algorithm>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/random.h>

#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using kernels::ImageTransform;
using ::testing::ElementsAre;

using Indices = std::vector<std::int64_t>;

class ImageBatchTest : public DeviceTest {
 protected:
  Tensor bytes(const Shape& shape, std::uint64_t seed) const {
    const RandomStream random(seed, Purpose::normal);
    std::vector<std::uint8_t> values(static_cast<std::size_t>(shape.numel()));
    for (std::size_t e = 0; e < values.size(); ++e) values[e] = static_cast<std::uint8_t>(random.word(e));
    return tensor(values, shape);
  }

  Tensor batch_of(const Tensor& images, const Indices& indices, const ImageTransform& transform = {}) {
    Tensor batch = Tensor::full(images.shape().with(0, static_cast<std::int64_t>(indices.size())), -99, device());
    kernels::image_batch(images, indices, transform, batch, stream());
    return batch;
  }

  std::vector<std::int32_t> labels_of(const Tensor& labels, const Indices& indices) {
    const Tensor images = empty({labels.dim(0), 1, 2, 3}, DType::u8);
    Tensor batch = empty({indices.size(), 1, 2, 3}), batch_labels = empty({indices.size()}, DType::i32);
    kernels::image_batch(images, labels, indices, {}, batch, batch_labels, stream());
    return batch_labels.to_vector<std::int32_t>();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, ImageBatchTest, devices(), device_name);

float unit(std::uint8_t value) { return static_cast<float>(value) / 255.0F; }
float unit(float value) { return value; }

/// The contract, element by element in logical order.
template <class T>
std::vector<float> reference(const Tensor& images, const Indices& indices, const ImageTransform& transform) {
  const std::vector<T> values = images.to_vector<T>();
  const std::int64_t C = images.dim(1), H = images.dim(2), W = images.dim(3);
  const RandomStream crops(transform.seed, Purpose::crop, 0, transform.epoch),
      flips(transform.seed, Purpose::flip, 0, transform.epoch);
  const auto range = static_cast<std::uint32_t>(2 * transform.crop_padding + 1);
  std::vector<float> batch;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const auto position = static_cast<std::uint64_t>(transform.first) + i;
    const std::int64_t top = std::int64_t{crops.below(2 * position, range)} - transform.crop_padding;
    const std::int64_t left = std::int64_t{crops.below(2 * position + 1, range)} - transform.crop_padding;
    const bool mirrored = transform.flip && flips.word(position) >> 31 == 1;
    for (std::int64_t c = 0; c < C; ++c) {
      for (std::int64_t h = 0; h < H; ++h) {
        for (std::int64_t w = 0; w < W; ++w) {
          const std::int64_t row = h + top, column = (mirrored ? W - 1 - w : w) + left;
          const bool inside = row >= 0 && row < H && column >= 0 && column < W;
          float value = inside ? unit(values[static_cast<std::size_t>(((indices[i] * C + c) * H + row) * W + column)]) : 0.0F;
          if (!transform.mean.empty())
            value = (value - transform.mean[static_cast<std::size_t>(c)]) / transform.std[static_cast<std::size_t>(c)];
          batch.push_back(value);
        }
      }
    }
  }
  return batch;
}

TEST_P(ImageBatchTest, ScalesEveryByteAsADivisionDoes) {
  std::vector<std::uint8_t> all(256);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i);
  const std::vector<float> batch = batch_of(tensor(all, {1, 1, 1, 256}), {0}).to_vector<float>();
  for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(batch[i], static_cast<float>(i) / 255.0F) << i;
}

TEST_P(ImageBatchTest, NormalisesEveryByteAsTorchvisionDoes) {
  const std::vector<float> mean{0.4914F, 0.4822F, 0.4465F}, std{0.2470F, 0.2435F, 0.2616F};
  std::vector<std::uint8_t> all(768);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i % 256);
  const std::vector<float> batch = batch_of(tensor(all, {1, 3, 16, 16}), {0}, {.mean = mean, .std = std}).to_vector<float>();
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(batch[i], (static_cast<float>(i % 256) / 255.0F - mean[i / 256]) / std[i / 256]) << i;
  }
}

TEST_P(ImageBatchTest, TakesFloatsAsTheyAre) {
  const Tensor images = Tensor::randn({3, 3, 5, 7}, 1, device());
  EXPECT_EQ(batch_of(images, {0, 1, 2}).to_vector<float>(), images.to_vector<float>());
}

TEST_P(ImageBatchTest, GathersInTheOrderOfTheIndices) {
  const Tensor images = tensor<float>({10, 20, 30, 40}, {4, 1, 1, 1});
  EXPECT_THAT(batch_of(images, {3, 0, 0, 2}).to_vector<float>(), ElementsAre(40, 10, 10, 30));
  EXPECT_EQ(batch_of(images, {}).numel(), 0);
}

/// Sizes around the width of a vector, and crops that miss the image altogether.
TEST_P(ImageBatchTest, CropsMirrorsAndNormalisesAsItsContractSays) {
  for (const Shape& shape :
       {Shape{5, 3, 32, 32}, Shape{4, 1, 1, 1}, Shape{4, 1, 31, 3}, Shape{3, 2, 5, 33}, Shape{3, 17, 3, 4}, Shape{2, 3, 21, 23}}) {
    const std::vector<float> mean(static_cast<std::size_t>(shape[1]), 0.4F), std(static_cast<std::size_t>(shape[1]), 0.3F);
    Indices indices;
    for (std::int64_t i = 0; i < 24; ++i) indices.push_back(i * 7 % shape[0]);
    for (const int padding : {0, 1, 4, 40}) {
      for (const bool flip : {false, true}) {
        for (const bool normalize : {false, true}) {
          ImageTransform transform{.crop_padding = padding, .flip = flip, .seed = 5, .epoch = 2, .first = 1000};
          if (normalize) transform.mean = mean, transform.std = std;
          const Tensor u8 = bytes(shape, 3), f32 = Tensor::randn(shape, 3, device());
          ASSERT_EQ(batch_of(u8, indices, transform).to_vector<float>(), reference<std::uint8_t>(u8, indices, transform))
              << shape.string() << " padding " << padding << " flip " << flip;
          ASSERT_EQ(batch_of(f32, indices, transform).to_vector<float>(), reference<float>(f32, indices, transform))
              << shape.string() << " padding " << padding << " flip " << flip;
        }
      }
    }
  }
}

TEST_P(ImageBatchTest, DoesNotDependOnTheNumberOfThreadsOrTheirInstructions) {
  const Tensor images = bytes({40, 3, 32, 32}, 1);
  Indices indices(40);
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(39 - i);
  const ImageTransform transform{.crop_padding = 4, .flip = true};
  everywhere(device(), [&] { return batch_of(images, indices, transform).to_vector<float>(); });
}

TEST_P(ImageBatchTest, ReadsAndWritesViews) {
  const ImageTransform transform{.crop_padding = 1, .flip = true};
  const Shape shape{3, 3, 4, 5};
  for (const std::int64_t first : {1, 2, 3}) {
    const Tensor images = bytes({3 * 3 * 4 * 5 + first}, 1).view(first, shape);
    Tensor memory = Tensor::full({2 * 3 * 4 * 5 + first}, -99, device());
    Tensor batch = memory.view(first, shape.with(0, 2));
    kernels::image_batch(images, Indices{2, 0}, transform, batch, stream());
    EXPECT_EQ(batch.to_vector<float>(), reference<std::uint8_t>(images, {2, 0}, transform));
    EXPECT_THAT(memory.view(0, {first}).to_vector<float>(), ::testing::Each(-99.0F));
  }
}

TEST_P(ImageBatchTest, GivesTheLabelsWithTheseIndices) {
  const Tensor labels = tensor<std::int32_t>({5, 6, 7}, {3});
  EXPECT_THAT(labels_of(labels, {2, 0, 2, 1}), ElementsAre(7, 5, 7, 6));
  EXPECT_THAT(labels_of(labels.narrow(1, 2), {1, 0}), ElementsAre(7, 6));
  EXPECT_TRUE(labels_of(labels, {}).empty());
}

TEST_P(ImageBatchTest, GivesAsManyLabelsAsAreAskedFor) {
  std::vector<std::int32_t> labels(300);
  Indices indices(1000);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i * i);
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i * 7 % labels.size());
  const std::vector<std::int32_t> batch_labels = labels_of(tensor(labels, {300}), indices);
  for (std::size_t i = 0; i < indices.size(); ++i) ASSERT_EQ(batch_labels[i], labels[static_cast<std::size_t>(indices[i])]) << i;
}

TEST_P(ImageBatchTest, GivesLabelsOfImagesWithoutPixels) {
  Tensor batch = empty({2, 3, 0, 4}), batch_labels = empty({2}, DType::i32);
  kernels::image_batch(empty({3, 3, 0, 4}), tensor<std::int32_t>({5, 6, 7}, {3}), Indices{2, 0}, {}, batch, batch_labels, stream());
  EXPECT_THAT(batch_labels.to_vector<std::int32_t>(), ElementsAre(7, 5));
}

TEST_P(ImageBatchTest, RefusesWhatItsContractDoesNotAllow) {
  const Tensor images = bytes({4, 3, 2, 2}, 1);
  const std::vector<float> two{1, 1}, three{1, 1, 1}, zero{1, 0, 1};
  const auto refuses = [](auto run, const char* message) { EXPECT_THAT(run, misuse(message)); };
  refuses([&] { batch_of(images, {0, 4}); }, "index 4 at position 1 is not in [0, 4)");
  refuses([&] { batch_of(images, {-1}); }, "index -1 at position 0");
  refuses([&] { batch_of(images, {0}, {.mean = two, .std = three}); }, "images of 3 channels, got 2 values of mean and 3 of std");
  refuses([&] { batch_of(images, {0}, {.mean = three}); }, "3 values of mean and 0 of std");
  refuses([&] { batch_of(images, {0}, {.mean = three, .std = zero}); }, "std must be > 0, got 0");
  refuses([&] { batch_of(images, {0}, {.crop_padding = -1}); }, "crop_padding must be >= 0, got -1");
  refuses([&] { batch_of(empty({4, 3, 2, 2}, DType::i32), {0}); }, "images must be f32, got i32");
  refuses([&] { batch_of(empty({4, 3, 2}), {0}); }, "images must have 4 dimensions, got [4, 3, 2]");
  Tensor wrong = empty({2, 3, 2, 2}), none;
  refuses([&] { kernels::image_batch(images, Indices{0}, {}, wrong, stream()); }, "batch must be [1, 3, 2, 2], got [2, 3, 2, 2]");
  Tensor batch = empty({1, 3, 2, 2}), label = empty({1}, DType::i32);
  const auto refuses_labels = [&](const Tensor& labels, Tensor& batch_labels, const char* message) {
    EXPECT_THAT([&] { kernels::image_batch(images, labels, Indices{0}, {}, batch, batch_labels, stream()); }, misuse(message));
  };
  refuses_labels(none, label, "labels is undefined");
  refuses_labels(empty({4}, DType::i32), none, "batch_labels is undefined");
  refuses_labels(empty({4}), label, "labels must be i32, got f32");
  refuses_labels(empty({4, 1}, DType::i32), label, "labels must be [4], got [4, 1]");
}

}  // namespace
}  // namespace gpucnn
