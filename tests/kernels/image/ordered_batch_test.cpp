#include <gpucnn/kernels/image/image_batch.h>

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/core/random.h>
#include <gpucnn/kernels/copy/cast.h>

#include "device_test.h"
#include "misuse.h"

namespace gpucnn::kernels {
namespace {

using Indices = std::vector<std::int64_t>;
using Labels = std::vector<std::int32_t>;

class OrderedBatchTest : public DeviceTest {
 protected:
  Tensor bytes(const Shape& shape) const {
    const RandomStream random(1, Purpose::normal);
    std::vector<std::uint8_t> values(static_cast<std::size_t>(shape.numel()));
    for (std::size_t e = 0; e < values.size(); ++e) values[e] = static_cast<std::uint8_t>(random.word(e));
    return tensor(values, shape);
  }

  Tensor labels(std::int64_t count) const {
    Labels values;
    for (std::int64_t n = 0; n < count; ++n) values.push_back(static_cast<std::int32_t>(100 + n));
    return tensor(values, {count});
  }

  Tensor order(const Indices& entries) const { return tensor(entries, Shape{entries.size()}); }
};
INSTANTIATE_TEST_SUITE_P(Devices, OrderedBatchTest, devices(), device_name);

TEST_P(OrderedBatchTest, IsImageBatchOfItsPartOfTheOrder) {
  const std::vector<float> mean(17, 0.4F), std(17, 0.3F);
  const Indices entries{4, 0, 3, 1, 2, 2, 0};
  for (const Shape& shape : {Shape{5, 3, 32, 32}, Shape{5, 1, 1, 1}, Shape{5, 3, 7, 5}, Shape{5, 17, 3, 4}, Shape{5, 3, 0, 4}}) {
    SCOPED_TRACE(shape.string());
    const auto C = static_cast<std::size_t>(shape[1]);
    for (const Tensor& images : {bytes(shape), Tensor::randn(shape, 1, device())}) {
      for (const bool normalize : {false, true}) {
        ImageTransform transform{.crop_padding = 2, .flip = true, .seed = 5, .epoch = 3, .first = 2};
        if (normalize) transform.mean = {mean.data(), C}, transform.std = {std.data(), C};
        const Indices here(entries.begin() + 2, entries.begin() + 6);
        Tensor batch = empty(shape.with(0, 4)), batch_labels = empty({4}, DType::i32);
        Tensor expected = empty(shape.with(0, 4)), expected_labels = empty({4}, DType::i32);
        image_batch(images, labels(5), here, transform, expected, expected_labels, stream());
        ordered_batch(images, labels(5), order(entries), transform, batch, batch_labels, stream());
        EXPECT_EQ(batch.to_vector<float>(), expected.to_vector<float>());
        EXPECT_EQ(batch_labels.to_vector<std::int32_t>(), expected_labels.to_vector<std::int32_t>());
        Tensor alone = empty(shape.with(0, 4));
        ordered_batch(images, order(entries), transform, alone, stream());
        EXPECT_EQ(alone.to_vector<float>(), expected.to_vector<float>());
      }
    }
  }
}

TEST_P(OrderedBatchTest, DividesEveryByteBy255) {
  std::vector<std::uint8_t> all(256);
  std::vector<float> expected;
  for (std::size_t value = 0; value < all.size(); ++value) {
    all[value] = static_cast<std::uint8_t>(value);
    expected.push_back(static_cast<float>(value) / 255.0F);
  }
  Tensor batch = empty({1, 1, 16, 16});
  ordered_batch(tensor(all, {1, 1, 16, 16}), order({0}), {}, batch, stream());
  EXPECT_EQ(batch.to_vector<float>(), expected);
}

TEST_P(OrderedBatchTest, RowsOfNumbersAreTakenAsTheyAre) {
  const Tensor rows = tensor<float>({1, -2, 3, 400, 5, -0.0F}, {3, 2}), entries = order({2, 0, 1, 1});
  Tensor batch = empty({2, 2});
  ordered_rows(rows, entries, 1, batch, stream());
  EXPECT_THAT(batch.to_vector<float>(), testing::ElementsAre(1, -2, 3, 400));
  row_batch(rows, Indices{2, 1}, batch, stream());
  EXPECT_THAT(batch.to_vector<float>(), testing::ElementsAre(5, 0, 3, 400));
  Tensor three = empty({2, 3}), i32 = empty({3}, DType::i32), one = empty({});
  EXPECT_THAT([&] { ordered_rows(rows, entries, 3, batch, stream()); },
              misuse("ordered_rows: positions 3 to 4 are not in an order of 4"));
  EXPECT_THAT([&] { ordered_rows(rows, entries, 0, three, stream()); }, misuse("ordered_rows: batch must be [2, 2], got [2, 3]"));
  EXPECT_THAT([&] { ordered_rows(i32, entries, 0, three, stream()); }, misuse("ordered_rows: rows must be f32, got i32"));
  EXPECT_THAT([&] { ordered_rows(one, entries, 0, one, stream()); }, misuse("ordered_rows: the rank of rows must be > 0"));
  EXPECT_THAT(
      [&] {
        row_batch(rows, Indices{3, 1}, batch, stream());
      },
      misuse("row_batch: index 3 at position 0 is not in [0, 3)"));
  EXPECT_THAT([&] { row_batch(rows, Indices{1}, batch, stream()); }, misuse("row_batch: batch must be [1, 2], got [2, 2]"));
}

TEST_P(OrderedBatchTest, MayBeOfNoImages) {
  Tensor batch = empty({0, 1, 2, 2}), batch_labels = empty({0}, DType::i32);
  ordered_batch(bytes({3, 1, 2, 2}), labels(3), order({0, 1}), {.first = 2}, batch, batch_labels, stream());
  ordered_batch(bytes({0, 1, 2, 2}), labels(0), order({}), {}, batch, batch_labels, stream());
  stream().synchronize();
}

TEST_P(OrderedBatchTest, RefusesPositionsBehindTheOrderAndTensorsThatDoNotFitTogether) {
  const Tensor images = bytes({3, 1, 2, 2}), entries = order({0, 1, 2});
  Tensor batch = empty({2, 1, 2, 2}), batch_labels = empty({2}, DType::i32);
  const auto refuses = [&](const Tensor& x, const Tensor& y, const Tensor& by, const ImageTransform& transform, Tensor& out,
                           const char* message) {
    EXPECT_THAT([&] { ordered_batch(x, y, by, transform, out, batch_labels, stream()); }, misuse(message));
  };
  refuses(images, labels(3), entries, {.first = 2}, batch, "ordered_batch: positions 2 to 3 are not in an order of 3");
  refuses(images, labels(3), entries, {.first = -1}, batch, "ordered_batch: positions -1 to 0 are not in an order of 3");
  refuses(images, labels(2), entries, {}, batch, "ordered_batch: labels must be [3], got [2]");
  refuses(images, labels(3), labels(3), {}, batch, "ordered_batch: order must be i64, got i32");
  refuses(images, labels(3), entries, {.crop_padding = -1}, batch, "ordered_batch: crop_padding must be >= 0");
  Tensor wrong = empty({3, 1, 2, 2});
  refuses(images, labels(3), entries, {}, wrong, "ordered_batch: batch must be [2, 1, 2, 2], got [3, 1, 2, 2]");
  refuses(bytes({0, 1, 2, 2}), labels(0), entries, {}, batch, "ordered_batch: the number of images must be > 0");
}

TEST(OrderedBatch, OnTheCpuRefusesAnEntryOutside) {
  Stream stream;
  const Tensor images = Tensor::zeros({3, 1, 1, 1}), labels = Tensor::zeros({3}, DType::i32);
  Tensor batch = Tensor::empty({2, 1, 1, 1}), batch_labels = Tensor::empty({2}, DType::i32);
  const Tensor order = Tensor::from(Indices{0, 1, 3}, {3});
  ordered_batch(images, labels, order, {}, batch, batch_labels, stream);
  EXPECT_THAT([&] { ordered_batch(images, labels, order, {.first = 1}, batch, batch_labels, stream); },
              misuse("ordered_batch: index 3 at position 1 is not in [0, 3)"));
}

class OrderedBatchGpuTest : public OrderedBatchTest {
 protected:
  std::vector<float> widened(const Tensor& tensor) {
    Tensor wide = empty(tensor.shape());
    cast(tensor, wide, stream());
    return wide.to_vector<float>();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, OrderedBatchGpuTest, testing::Values(Device::cuda()), device_name);

TEST_P(OrderedBatchGpuTest, TakesAnEntryOutsideForTheNearestInside) {
  const Tensor images = tensor<float>({10, 20, 30}, {3, 1, 1, 1});
  Tensor batch = empty({4, 1, 1, 1}), batch_labels = empty({4}, DType::i32);
  ordered_batch(images, labels(3), order({3, -1, std::int64_t{1} << 40, 1}), {}, batch, batch_labels, stream());
  EXPECT_THAT(batch.to_vector<float>(), testing::ElementsAre(30, 10, 30, 20));
  EXPECT_THAT(batch_labels.to_vector<std::int32_t>(), testing::ElementsAre(102, 100, 102, 101));
}

TEST_P(OrderedBatchGpuTest, InBf16RoundsOnceWhatItWritesInF32) {
  const std::vector<float> mean(17, 0.4F), std(17, 0.3F);
  const Indices entries{4, 0, 3, 1, 2, 2, 0};
  for (const Shape& shape : {Shape{5, 3, 32, 32}, Shape{5, 1, 1, 1}, Shape{5, 3, 7, 5}, Shape{5, 17, 3, 4}, Shape{5, 3, 0, 4}}) {
    for (const Tensor& images : {bytes(shape), Tensor::randn(shape, 1, device())}) {
      for (int kind = 0; kind < 5; ++kind) {
        SCOPED_TRACE(shape.string() + " of " + std::string(name_of(images.dtype())) + ", transform " + std::to_string(kind));
        const auto C = static_cast<std::size_t>(shape[1]);
        if (kind > 2 && (C != 3 || shape.numel() == 0)) continue;
        ImageTransform transform{.crop_padding = 2, .flip = true, .seed = 5, .epoch = 3, .first = 2};
        if (kind != 1) transform.mean = {mean.data(), C}, transform.std = {std.data(), C};
        if (kind == 2) transform.cutout = 1;
        if (kind == 3) transform.color_jitter = {.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1};
        if (kind == 4) {
          transform.crop_padding = 0;
          transform.random_resized_crop = RandomResizedCropOptions{.size = 5};
        }
        const Shape batch_shape = transform.batch_shape(shape, 4);
        if (kind == 2 && batch_shape.numel() == 0) continue;
        Tensor batch = empty(batch_shape, DType::bf16), batch_labels = empty({4}, DType::i32), whole = empty(batch_shape);
        Tensor alone = empty({batch_shape.numel() + 1}, DType::bf16).view(1, batch_shape), labels_again = empty({4}, DType::i32);
        ordered_batch(images, labels(5), order(entries), transform, batch, batch_labels, stream());
        ordered_batch(images, order(entries), transform, alone, stream());
        ordered_batch(images, labels(5), order(entries), transform, whole, labels_again, stream());
        std::vector<float> expected = whole.to_vector<float>();
        for (float& value : expected) value = to_float(to_bf16(value));
        EXPECT_EQ(widened(batch), expected);
        EXPECT_EQ(widened(alone), expected);
        EXPECT_EQ(batch_labels.to_vector<std::int32_t>(), labels_again.to_vector<std::int32_t>());
      }
    }
  }
}

TEST(OrderedBatch, OnTheCpuRefusesBf16) {
  Stream stream;
  const Tensor images = Tensor::zeros({3, 1, 1, 1}), order = Tensor::from(Indices{0, 1}, {2});
  Tensor batch = Tensor::empty({2, 1, 1, 1}, DType::bf16);
  EXPECT_THAT([&] { ordered_batch(images, order, {}, batch, stream); }, misuse("ordered_batch: batch must be f32, got bf16"));
}

}  // namespace
}  // namespace gpucnn::kernels
