#include <gpucnn/kernels/activation/dropout.h>

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/dropout.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

const RandomStream kRandom(0x0123456789ABCDEF, Purpose::dropout, 3, (std::uint64_t{1} << 40) + 7);

class DropoutTest : public DeviceTest {
 protected:
  std::vector<float> drop(const std::vector<float>& x, const Shape& shape, double p) {
    Tensor y = empty(shape);
    dropout(tensor(x, shape), p, kRandom, y, stream());
    return y.to_vector<float>();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, DropoutTest, devices(), device_name);

TEST_P(DropoutTest, KeepsTheElementsWhoseNumberIsNotBelowP) {
  const std::vector<float> y = drop(std::vector<float>(1000, 3.0F), {1000}, 0.25);
  for (std::size_t e = 0; e < y.size(); ++e) EXPECT_EQ(y[e], kRandom.uniform(e) < 0.25F ? 0.0F : 4.0F) << e;
}

TEST_P(DropoutTest, DrawsByLogicalIndexWhateverTheLayout) {
  for (const Shape& shape :
       {Shape{3, 5, 7, 3}, Shape{2, 16, 8, 8}, Shape{1, 3, 33, 31}, Shape{3, 17, 64, 65}, Shape{70, 3, 16, 8}, Shape{3, 1, 5, 5},
        Shape{5, 7, 1, 1}, Shape{2, 4, 1, 2}, Shape{3, 6, 3, 2}, Shape{0, 3, 2, 2}, Shape{2, 0, 2, 2}}) {
    SCOPED_TRACE(shape.string());
    const std::vector<float> x = random_floats(shape.numel(), 1);
    const std::vector<float> rows = drop(x, {shape.numel()}, 0.4);
    everywhere(device(), [&] {
      const std::vector<float> images = drop(x, shape, 0.4);
      EXPECT_EQ(images, rows);
      return images;
    });
  }
}

/// Images [first, last) of a batch.
std::vector<float> images_of(const std::vector<float>& batch, const Shape& shape, std::int64_t first, std::int64_t last) {
  const std::int64_t image = shape.with(0, 1).numel();
  return {batch.begin() + first * image, batch.begin() + last * image};
}

TEST_P(DropoutTest, DropsInAPartOfABatchWhatItDropsInTheWhole) {
  for (const Shape& shape : {Shape{7, 5}, Shape{6, 2051}, Shape{5, 3, 5, 7}, Shape{4, 16, 8, 8}, Shape{3, 1, 1, 3}}) {
    const std::vector<float> x = random_floats(shape.numel(), 1);
    const std::int64_t N = shape[0], image = shape.with(0, 1).numel(), channels = shape[1];
    const bool of_channels = shape.rank() == 4;
    Tensor whole = empty(shape), whole2d = empty(shape);
    dropout(tensor(x, shape), 0.4, kRandom, whole, stream());
    if (of_channels) dropout2d(tensor(x, shape), 0.4, kRandom, whole2d, stream());
    for (std::int64_t first = 0; first < N; ++first) {
      SCOPED_TRACE(testing::Message() << shape.string() << " from image " << first);
      const Shape part = shape.with(0, N - first);
      const Tensor own = tensor(images_of(x, shape, first, N), part);
      everywhere(device(), [&] {
        Tensor y = empty(part);
        dropout(own, 0.4, kRandom.without_first(static_cast<std::uint64_t>(first * image)), y, stream());
        EXPECT_EQ(y.to_vector<float>(), images_of(whole.to_vector<float>(), shape, first, N));
        if (of_channels) {
          dropout2d(own, 0.4, kRandom.without_first(static_cast<std::uint64_t>(first * channels)), y, stream());
          EXPECT_EQ(y.to_vector<float>(), images_of(whole2d.to_vector<float>(), shape, first, N));
        }
        return y.to_vector<float>();
      });
    }
  }
}

TEST_P(DropoutTest, AgreesWithTheReferenceForEverySize) {
  for (const std::int64_t size : {0, 1, 3, 31, 33, 257, 1023, 1025, 257 * 257}) {
    for (const double p : {0.0, 0.1, 0.5, 1 - 0x1p-24, 1 - 0x1p-30}) {
      SCOPED_TRACE(testing::Message() << size << " elements, p " << p);
      const std::vector<float> x = random_floats(size, 1);
      const reference::Values expected = reference::dropout(widen(x), p, kRandom);
      everywhere(device(), [&] {
        const std::vector<float> y = drop(x, {size}, p);
        expect_close(y, expected, kPointwise);
        return y;
      });
    }
  }
}

TEST_P(DropoutTest, DropsWholeChannelsAsTheReference) {
  for (const Shape& shape : {Shape{3, 5, 7, 3}, Shape{2, 16, 8, 8}, Shape{1, 3, 33, 31}, Shape{70, 3, 4, 2}, Shape{3, 1, 5, 5},
                             Shape{2, 2100, 2, 1}, Shape{5, 8, 1, 1}, Shape{0, 3, 2, 2}, Shape{2, 0, 2, 2}, Shape{2, 3, 0, 2}}) {
    SCOPED_TRACE(shape.string());
    const std::vector<float> x = random_floats(shape.numel(), 1);
    const reference::Values expected = reference::dropout2d(widen(x), static_cast<std::size_t>(shape[2] * shape[3]), 0.4, kRandom);
    everywhere(device(), [&] {
      const Tensor from = tensor(x, shape);
      Tensor y = empty(shape), odd = unaligned(y), in_place = from.clone();
      dropout2d(from, 0.4, kRandom, y, stream());
      expect_close(y.to_vector<float>(), expected, kPointwise);
      dropout2d(from, 0.4, kRandom, odd, stream());
      EXPECT_EQ(odd.to_vector<float>(), y.to_vector<float>());
      dropout2d(in_place, 0.4, kRandom, in_place, stream());
      EXPECT_EQ(in_place.to_vector<float>(), y.to_vector<float>());
      return y.to_vector<float>();
    });
  }
}

TEST_P(DropoutTest, NothingIsDroppedAtZeroAndAllAtOne) {
  const std::vector<float> x = random_floats(100, 1);
  EXPECT_EQ(drop(x, {100}, 0), x);
  EXPECT_EQ(drop(x, {100}, 1), std::vector<float>(100, 0.0F));
}

TEST_P(DropoutTest, ADroppedNanOrInfinityIsNan) {
  const std::vector<float> y = drop({std::nanf(""), std::numeric_limits<float>::infinity(), 1}, {3}, 1);
  EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[1]));
  EXPECT_EQ(y[2], 0.0F);
}

TEST_P(DropoutTest, DropsWhatTheCpuDrops) {
  Stream cpu;
  for (const Shape& shape : {Shape{3, 5, 7, 3}, Shape{2, 16, 8, 8}, Shape{270'001}, Shape{66, 31}}) {
    SCOPED_TRACE(shape.string());
    const std::vector<float> x = random_floats(shape.numel(), 1);
    Tensor y = Tensor::empty(shape);
    dropout(Tensor::from(x, shape), 0.4, kRandom, y, cpu);
    EXPECT_EQ(drop(x, shape, 0.4), y.to_vector<float>());
  }
}

TEST_P(DropoutTest, ViewsMayBeginAnywhere) {
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{2, 4, 4, 4}, Shape{1}, Shape{6}, Shape{4099}}) {
    SCOPED_TRACE(shape.string());
    const std::vector<float> x = random_floats(shape.numel(), 1), expected = drop(x, shape, 0.5);
    for (const Tensor& from : {tensor(x, shape), unaligned(tensor(x, shape))}) {
      Tensor y = unaligned(from);
      dropout(from, 0.5, kRandom, y, stream());
      EXPECT_EQ(y.to_vector<float>(), expected);
    }
    Tensor y = empty(shape);
    dropout(unaligned(tensor(x, shape)), 0.5, kRandom, y, stream());
    EXPECT_EQ(y.to_vector<float>(), expected);
  }
}

TEST_P(DropoutTest, WorksInPlace) {
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{210}}) {
    const std::vector<float> x = random_floats(210, 1);
    Tensor y = tensor(x, shape);
    dropout(y, 0.5, kRandom, y, stream());
    EXPECT_EQ(y.to_vector<float>(), drop(x, shape, 0.5));
  }
}

TEST_P(DropoutTest, RefusesWrongProbabilitiesAndShapes) {
  Tensor x = empty({4}), other = empty({2, 2}), integers = empty({4}, DType::i32);
  EXPECT_THAT([&] { dropout(x, -0.1, kRandom, x, stream()); }, misuse("dropout: p must be in [0, 1], got -0.1"));
  EXPECT_THAT([&] { dropout(x, 1.1, kRandom, x, stream()); }, misuse("dropout: p must be in [0, 1]"));
  EXPECT_THAT([&] { dropout(x, std::nan(""), kRandom, x, stream()); }, misuse("dropout: p must be in [0, 1]"));
  EXPECT_THAT([&] { dropout(x, 0.5, kRandom, other, stream()); }, misuse("dropout: y must be [4], got [2, 2]"));
  EXPECT_THAT([&] { dropout(integers, 0.5, kRandom, x, stream()); }, misuse("dropout: x must be f32"));
  EXPECT_THAT([&] { dropout2d(other, 0.5, kRandom, other, stream()); }, misuse("dropout2d: x must have 4 dimensions, got [2, 2]"));
}

}  // namespace
}  // namespace gpucnn::kernels
