#include <gpucnn/kernels/norm/batch_norm2d.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/kernels/copy/cast.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/normalize.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::Values;
using reference::widen;

constexpr double kEps = 1e-5;

class BatchNorm2dTest : public DeviceTest {
 protected:
  Tensor numbers(const std::vector<float>& values) const { return tensor(values); }
  /// [4, C]: of the batch.
  Tensor statistics_of(const Tensor& x, double eps = kEps) {
    Tensor statistics = empty({4, x.dim(1)});
    batch_norm2d_statistics(x, eps, statistics, stream());
    return statistics;
  }
  Tensor normalized(const Tensor& x, const Tensor& weight = {}, const Tensor& bias = {}) {
    Tensor y = empty(x.shape());
    batch_norm2d(x, statistics_of(x), weight, bias, {}, y, stream());
    return y;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, BatchNorm2dTest, devices(), device_name);

const Shape kSizes[] = {
    {2, 1, 1, 1},   {3, 1, 31, 33},   {2, 3, 257, 33}, {1, 3, 3, 1},      {4, 16, 33, 31}, {2, 17, 31, 9}, {5, 33, 3, 3},
    {9, 64, 32, 1}, {257, 257, 1, 1}, {3, 300, 5, 7},  {20, 130, 16, 16}, {2, 2048, 1, 2}, {1, 63, 9, 31},
};

TEST_P(BatchNorm2dTest, AgreesWithTheReferenceForEverySize) {
  for (const Shape& shape : kSizes) {
    SCOPED_TRACE(shape.string());
    const std::int64_t C = shape[1];
    const reference::Normalize sizes{.N = shape[0], .C = C, .pixels = shape[2] * shape[3]};
    std::vector<float> x = random_floats(shape.numel(), 1);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += static_cast<float>(sizes.channel(static_cast<std::int64_t>(i)) % 5);
    const std::vector<float> dy = random_floats(shape.numel(), 2), weight = random_floats(C, 3), bias = random_floats(C, 4);
    const reference::Statistics expected = reference::statistics(sizes, widen(x));
    const Values expected_y = reference::normalize(sizes, widen(x), expected, widen(weight), widen(bias));
    const auto gradients = reference::normalize_backward(sizes, widen(x), expected, widen(weight), widen(dy), false);
    everywhere(device(), [&] {
      const Tensor xs = tensor(x, shape), ws = tensor(weight);
      const Tensor statistics = statistics_of(xs);
      expect_close(statistics.narrow(0, 1).to_vector<float>(), expected.mean, kSum);
      expect_close(statistics.narrow(3, 1).to_vector<float>(), expected.var, kSum);
      Tensor y = empty(shape), dx = empty(shape), dweight = empty({C}), dbias = empty({C});
      batch_norm2d(xs, statistics, ws, tensor(bias), {}, y, stream());
      expect_close(y.to_vector<float>(), expected_y, kSum);
      batch_norm2d_backward(xs, statistics, ws, tensor(dy, shape), false, {}, {}, dweight, dbias, dx, stream());
      expect_close(dx.to_vector<float>(), gradients.dx, {1e-5, 1e-5, 1e-7});  // of two values little is left
      expect_close(dweight.to_vector<float>(), gradients.dweight, kSum);
      expect_close(dbias.to_vector<float>(), gradients.dbias, kSum);
      std::vector<float> all = y.to_vector<float>();
      for (const Tensor& each : {statistics, dx, dweight, dbias}) {
        for (const float value : each.to_vector<float>()) all.push_back(value);
      }
      return all;
    });
  }
}

TEST_P(BatchNorm2dTest, BackwardThroughFixedStatisticsScalesTheGradient) {
  const Shape shape{3, 5, 4, 7};
  const reference::Normalize sizes{.N = 3, .C = 5, .pixels = 28};
  const std::vector<float> x = random_floats(shape.numel(), 1), dy = random_floats(shape.numel(), 2), weight = random_floats(5, 3);
  const std::vector<float> mean = random_floats(5, 4), var{0.5F, 2, 1, 0, 3};
  const auto expected = reference::normalize_backward(sizes, widen(x), {widen(mean), widen(var)}, widen(weight), widen(dy), true);
  Tensor statistics = empty({4, 5}), dx = empty(shape), dweight = tensor(std::vector<float>(5, 1)), dbias = empty({5});
  batch_norm2d_statistics(tensor(mean), tensor(var), kEps, statistics, stream());
  batch_norm2d_backward(tensor(x, shape), statistics, tensor(weight), tensor(dy, shape), true, {}, {.dweight = true}, dweight,
                        dbias, dx, stream());
  expect_close(dx.to_vector<float>(), expected.dx, kPointwise);
  expect_close(dbias.to_vector<float>(), expected.dbias, kSum);
  Values added = expected.dweight;
  for (double& value : added) value += 1;
  expect_close(dweight.to_vector<float>(), added, kSum);
}

TEST_P(BatchNorm2dTest, KeepsADeviationThatIsSmallBesideTheMean) {
  // Values 4096 and 4096 + 1/1024 are exact; a sum of squares in f32 knows nothing of their difference.
  const Shape shape{1, 3, 4, 16};
  std::vector<float> x;
  for (int i = 0; i < 3 * 64; ++i) x.push_back(4096.0F + static_cast<float>(i % 2) / 1024);
  const Tensor y = normalized(tensor(x, shape));
  const double expected = 0x1p-11 / std::sqrt(0x1p-22 + kEps);
  Values all;
  for (int i = 0; i < 3 * 64; ++i) all.push_back(i % 2 == 0 ? -expected : expected);
  expect_close(y.to_vector<float>(), all, {1e-5, 0});
}

TEST_P(BatchNorm2dTest, ConstantChannelsHaveNoVariance) {
  const Tensor x = tensor(std::vector<float>(2 * 3 * 5 * 7, 0.1F), {2, 3, 5, 7});
  EXPECT_EQ(statistics_of(x).narrow(3, 1).to_vector<float>(), std::vector<float>(3, 0));
  EXPECT_EQ(normalized(x).to_vector<float>(), std::vector<float>(2 * 3 * 5 * 7, 0));
}

TEST_P(BatchNorm2dTest, ANanOrInfinitySpoilsItsOwnChannelOnly) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const std::size_t place : {0, 5}) {
      SCOPED_TRACE(place);
      std::vector<float> x = random_floats(2 * 9, 1);
      x[place] = bad;  // channel 0 of image 0
      const std::vector<float> y = normalized(tensor(x, {1, 2, 3, 3})).to_vector<float>();
      EXPECT_TRUE(std::all_of(y.begin(), y.begin() + 9, [](float value) { return std::isnan(value); }));
      EXPECT_TRUE(std::all_of(y.begin() + 9, y.end(), [](float value) { return std::isfinite(value); }));
    }
  }
}

TEST_P(BatchNorm2dTest, UpdatesRunningStatisticsWithTheUnbiasedVariance) {
  const Tensor x = tensor<float>({1, 2, 3, 6, 0, 0, 0, 8}, {1, 2, 2, 2});  // means 3 and 2, biased variances 3.5 and 12
  Tensor mean = numbers({1, 1}), var = numbers({1, 1}), batches = Tensor::zeros({}, DType::i64, device());
  batch_norm2d_update(statistics_of(x), 4, 0.25, mean, var, batches, stream());
  EXPECT_EQ(mean.to_vector<float>(), (std::vector<float>{1.5F, 1.25F}));
  expect_close(var.to_vector<float>(), Values{0.75 + 0.25 * 14.0 / 3, 0.75 + 4}, kPointwise);
  EXPECT_EQ(batches.to_vector<std::int64_t>(), std::vector<std::int64_t>{1});
}

TEST_P(BatchNorm2dTest, WithoutAMomentumRunningStatisticsAreTheMeanOfAllBatches) {
  Tensor mean = numbers({9}), var = numbers({9}), batches = Tensor::zeros({}, DType::i64, device());
  for (const float value : {1.0F, 2.0F, 6.0F}) {
    const Tensor x = tensor<float>({value, value + 2}, {2, 1, 1, 1});
    batch_norm2d_update(statistics_of(x), 2, std::nullopt, mean, var, batches, stream());
  }
  expect_close(mean.to_vector<float>(), Values{4}, kPointwise);
  expect_close(var.to_vector<float>(), Values{2}, kPointwise);
  EXPECT_EQ(batches.to_vector<std::int64_t>(), std::vector<std::int64_t>{3});
}

TEST_P(BatchNorm2dTest, AnEmptyBatchIsCountedAndHasNoGradient) {
  Tensor mean = numbers({2, 3}), var = numbers({4, 5}), batches = Tensor::zeros({}, DType::i64, device());
  batch_norm2d_update({}, 0, 0.1, mean, var, batches, stream());
  EXPECT_EQ(mean.to_vector<float>(), (std::vector<float>{2, 3}));
  EXPECT_EQ(batches.to_vector<std::int64_t>(), std::vector<std::int64_t>{1});
  Tensor none = empty({0, 2, 3, 3}), dweight = numbers({7, 7}), dbias = numbers({7, 7});
  batch_norm2d(none, {}, {}, {}, {}, none, stream());
  batch_norm2d_backward(none, {}, mean, none, false, {}, {.dbias = true}, dweight, dbias, none, stream());
  EXPECT_EQ(dweight.to_vector<float>(), (std::vector<float>{0, 0}));
  EXPECT_EQ(dbias.to_vector<float>(), (std::vector<float>{7, 7}));
}

TEST_P(BatchNorm2dTest, ViewsMayBeginAnywhere) {
  for (const Shape& shape : {Shape{2, 8, 7, 6}, Shape{3, 5, 2, 9}}) {
    const Tensor x = tensor(random_floats(shape.numel(), 1), shape), dy = tensor(random_floats(shape.numel(), 2), shape);
    const Tensor statistics = statistics_of(x), weight = tensor(random_floats(shape[1], 3));
    Tensor y = empty(shape), dx = empty(shape), dweight = empty({shape[1]}), dbias = empty({shape[1]});
    batch_norm2d(x, statistics, weight, {}, {}, y, stream());
    batch_norm2d_backward(x, statistics, weight, dy, false, {}, {}, dweight, dbias, dx, stream());
    Tensor y2 = unaligned(y), dx2 = unaligned(dx), dweight2 = unaligned(dweight);
    batch_norm2d(unaligned(x), unaligned(statistics), unaligned(weight), {}, {}, y2, stream());
    batch_norm2d_backward(unaligned(x), statistics, weight, unaligned(dy), false, {}, {}, dweight2, dbias, dx2, stream());
    EXPECT_EQ(y2.to_vector<float>(), y.to_vector<float>());
    expect_close(dx2.to_vector<float>(), as_doubles(dx.to_vector<float>()), kSum);
    expect_close(dweight2.to_vector<float>(), as_doubles(dweight.to_vector<float>()), kSum);
  }
}

TEST_P(BatchNorm2dTest, In16BitsRoundsWhatTheReferenceGives) {
  if (device().kind == Device::Kind::cpu) GTEST_SKIP() << "bf16 is for GPUs";
  for (const Shape& shape : {Shape{3, 8, 9, 5}, Shape{4, 3, 7, 7}}) {
    const reference::Normalize sizes{.N = shape[0], .C = shape[1], .pixels = shape[2] * shape[3]};
    std::vector<float> x = random_floats(shape.numel(), 1), dy = random_floats(shape.numel(), 2);
    const std::vector<float> weight = random_floats(shape[1], 3);
    for (float& value : x) value = to_float(to_bf16(value));
    for (float& value : dy) value = to_float(to_bf16(value));
    Tensor x16 = empty(shape, DType::bf16), dy16 = empty(shape, DType::bf16), y16 = empty(shape, DType::bf16),
           dx16 = empty(shape, DType::bf16), dweight = empty({shape[1]}), dbias = empty({shape[1]}), wide = empty(shape);
    cast(tensor(x, shape), x16, stream());
    cast(tensor(dy, shape), dy16, stream());
    const reference::Statistics expected = reference::statistics(sizes, widen(x));
    const auto gradients = reference::normalize_backward(sizes, widen(x), expected, widen(weight), widen(dy), false);
    const Tensor statistics = statistics_of(x16);
    batch_norm2d(x16, statistics, tensor(weight), {}, {}, y16, stream());
    batch_norm2d_backward(x16, statistics, tensor(weight), dy16, false, {}, {}, dweight, dbias, dx16, stream());
    cast(y16, wide, stream());
    expect_close(wide.to_vector<float>(), reference::normalize(sizes, widen(x), expected, widen(weight), Values(weight.size())),
                 kBf16);
    cast(dx16, wide, stream());
    expect_close(wide.to_vector<float>(), gradients.dx, kBf16);
    expect_close(dweight.to_vector<float>(), gradients.dweight, kSum);
    expect_close(dbias.to_vector<float>(), gradients.dbias, kSum);
  }
}

TEST_P(BatchNorm2dTest, RefusesTensorsThatDoNotFitTogether) {
  Tensor x = empty({2, 3, 4, 4}), y = empty({2, 3, 4, 4}), statistics = empty({4, 3}), weight = empty({4}), flat = empty({2, 3});
  EXPECT_THAT([&] { batch_norm2d_statistics(flat, kEps, statistics, stream()); }, misuse("x must have 4 dimensions, got [2, 3]"));
  EXPECT_THAT([&] { batch_norm2d_statistics(x, -1, statistics, stream()); }, misuse("eps must be a finite number of at least 0"));
  EXPECT_THAT([&] { batch_norm2d_statistics(x, kEps, weight, stream()); }, misuse("statistics must be [4, 3], got [4]"));
  EXPECT_THAT([&] { batch_norm2d(x, statistics, weight, {}, {}, y, stream()); },
              misuse("batch_norm2d: weight must be [3], got [4]"));
  EXPECT_THAT([&] { batch_norm2d(x, statistics, {}, {}, {}, flat, stream()); }, misuse("batch_norm2d: y must be"));
  EXPECT_THAT([&] { batch_norm2d_backward(x, statistics, {}, flat, false, {}, {}, weight, weight, y, stream()); },
              misuse("dy must be"));
  Tensor mean = empty({3}), var = empty({3}), count = empty({1}, DType::i64);
  EXPECT_THAT([&] { batch_norm2d_update(statistics, 8, 0.1, mean, var, count, stream()); },
              misuse("num_batches_tracked must be [], got [1]"));
}

}  // namespace
}  // namespace gpucnn::kernels
