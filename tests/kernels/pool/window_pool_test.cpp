#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/kernels/copy/cast.h>
#include <gpucnn/kernels/pool/adaptive_pool2d.h>
#include <gpucnn/kernels/pool/avg_pool2d.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/window_pool.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::widen;

class WindowPoolTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, WindowPoolTest, devices(), device_name);

struct Bins {
  Shape x;
  Size2 output_size;
};

const Bins kBins[] = {{{2, 3, 7, 9}, 1},          {{3, 33, 5, 6}, {2, 4}}, {{1, 257, 3, 3}, {5, 2}}, {{2, 64, 31, 17}, 1},
                      {{1, 130, 56, 56}, {1, 3}}, {{0, 4, 5, 5}, 2},       {{2, 0, 5, 5}, 2},        {{1, 4, 1, 1}, 3}};

TEST_P(WindowPoolTest, AdaptiveMeansAgreeWithTheReference) {
  for (const Bins& bins : kBins) {
    SCOPED_TRACE(bins.x.string());
    const Shape out = adaptive_pool2d_shape(bins.x, bins.output_size);
    const auto windows = reference::adaptive_windows(bins.x[2], bins.x[3], bins.output_size);
    const std::vector<float> x = reference::random_floats(bins.x.numel(), 1), dy = reference::random_floats(out.numel(), 2);
    const reference::Values expected = reference::window_mean(windows, bins.x[2], bins.x[3], widen(x));
    const reference::Values expected_dx = reference::window_mean_backward(windows, bins.x[2], bins.x[3], widen(dy));
    everywhere(device(), [&] {
      Tensor y = empty(out), dx = empty(bins.x);
      adaptive_avg_pool2d(tensor(x, bins.x), y, stream());
      adaptive_avg_pool2d_backward(tensor(dy, out), dx, stream());
      expect_close(y.to_vector<float>(), expected, kSum);
      expect_close(dx.to_vector<float>(), expected_dx, kSum);
      return y.to_vector<float>();
    });
  }
}

/// Few different values, so that many are equal, and some NaN.
std::vector<float> values_with_ties(std::int64_t count) {
  std::vector<float> values = reference::random_floats(count, 3);
  for (float& value : values) value = std::abs(value) > 0.98F ? std::numeric_limits<float>::quiet_NaN() : std::round(4 * value);
  return values;
}

TEST_P(WindowPoolTest, AdaptiveMaximaAgreeWithTheReference) {
  for (const Bins& bins : kBins) {
    SCOPED_TRACE(bins.x.string());
    const std::int64_t H = bins.x[2], W = bins.x[3];
    const Shape out = adaptive_pool2d_shape(bins.x, bins.output_size);
    const auto windows = reference::adaptive_windows(H, W, bins.output_size);
    const std::vector<float> x = values_with_ties(bins.x.numel()), dy = reference::random_floats(out.numel(), 2);
    const reference::WindowMax expected = reference::window_max(windows, H, W, widen(x));
    const reference::Values expected_dx = reference::window_max_backward(expected.argmax, windows.size(), H, W, widen(dy));
    everywhere(device(), [&] {
      Tensor y = empty(out), argmax = empty(out, DType::i32), dx = empty(bins.x), alone = empty(out), none;
      adaptive_max_pool2d(tensor(x, bins.x), y, argmax, stream());
      adaptive_max_pool2d(tensor(x, bins.x), alone, none, stream());
      adaptive_max_pool2d_backward(tensor(dy, out), argmax, dx, stream());
      expect_close(y.to_vector<float>(), expected.y, kSameValue);
      expect_close(alone.to_vector<float>(), expected.y, kSameValue);
      EXPECT_EQ(argmax.to_vector<std::int32_t>(), expected.argmax);
      expect_close(dx.to_vector<float>(), expected_dx, kSum);
      return dx.to_vector<float>();
    });
  }
}

struct Averages {
  Shape x;
  AvgPool2dOptions pool;
};

const Averages kAverages[] = {
    {{2, 3, 7, 9}, {.kernel_size = 2}},
    {{3, 33, 5, 6}, {.kernel_size = 3, .stride = 2, .padding = 1}},
    {{1, 130, 8, 7}, {.kernel_size = {3, 2}, .stride = Size2{2, 3}, .padding = {1, 0}, .ceil_mode = true}},
    {{2, 64, 31, 17}, {.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false}},
    {{1, 5, 9, 10}, {.kernel_size = 4, .stride = 3, .padding = 2, .ceil_mode = true, .divisor_override = -3}},
    {{2, 8, 4, 4}, {.kernel_size = {1, 4}, .stride = 1, .padding = {0, 2}, .count_include_pad = false}},
    {{1, 3, 2, 2}, {.kernel_size = 3, .stride = 2, .ceil_mode = true}},
    {{1, 9, 56, 56}, {.kernel_size = 56}},
    {{0, 3, 5, 5}, {.kernel_size = 3, .stride = 1}},
};

TEST_P(WindowPoolTest, AveragesAgreeWithTheReference) {
  for (const Averages& each : kAverages) {
    SCOPED_TRACE(each.x.string());
    const std::int64_t H = each.x[2], W = each.x[3];
    const Shape out = avg_pool2d_shape(each.x, each.pool);
    const auto windows = reference::avg_windows(H, W, each.pool);
    ASSERT_EQ(static_cast<std::int64_t>(windows.size()), out[2] * out[3]);
    const std::vector<float> x = reference::random_floats(each.x.numel(), 1), dy = reference::random_floats(out.numel(), 2);
    const reference::Values expected = reference::window_mean(windows, H, W, widen(x));
    const reference::Values expected_dx = reference::window_mean_backward(windows, H, W, widen(dy));
    everywhere(device(), [&] {
      Tensor y = empty(out), dx = empty(each.x);
      avg_pool2d(tensor(x, each.x), each.pool, y, stream());
      avg_pool2d_backward(tensor(dy, out), each.pool, dx, stream());
      expect_close(y.to_vector<float>(), expected, kSum);
      expect_close(dx.to_vector<float>(), expected_dx, kSum);
      std::vector<float> all = y.to_vector<float>();
      for (const float value : dx.to_vector<float>()) all.push_back(value);
      return all;
    });
  }
}

TEST_P(WindowPoolTest, TheFirstOfEqualsAndTheLastNanWinABin) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  Tensor y = empty({1, 1, 1, 2}), argmax = empty({1, 1, 1, 2}, DType::i32), dx = empty({1, 1, 2, 4});
  adaptive_max_pool2d(tensor<float>({7, 7, kNan, 1, 7, 7, 9, kNan}, {1, 1, 2, 4}), y, argmax, stream());
  expect_close(y.to_vector<float>(), reference::Values{7, static_cast<double>(kNan)}, kSameValue);
  EXPECT_EQ(argmax.to_vector<std::int32_t>(), (std::vector<std::int32_t>{0, 7}));
  adaptive_max_pool2d_backward(tensor<float>({2, 3}, {1, 1, 1, 2}), argmax, dx, stream());
  EXPECT_EQ(dx.to_vector<float>(), (std::vector<float>{2, 0, 0, 0, 0, 0, 0, 3}));
}

TEST_P(WindowPoolTest, DividesAsTheOptionsSay) {
  // Ones, 3x3, by windows of 2 with a stride of 2 and padding 1: the first has one element of the image and three of padding.
  const Tensor x = tensor(std::vector<float>(9, 1), {1, 1, 3, 3});
  const auto first = [&](const AvgPool2dOptions& options) {
    Tensor y = empty(avg_pool2d_shape(x.shape(), options));
    avg_pool2d(x, options, y, stream());
    return y.to_vector<float>()[0];
  };
  EXPECT_EQ(first({.kernel_size = 2, .padding = 1}), 0.25F);
  EXPECT_EQ(first({.kernel_size = 2, .padding = 1, .count_include_pad = false}), 1);
  EXPECT_EQ(first({.kernel_size = 2, .padding = 1, .divisor_override = -2}), -0.5F);
}

TEST_P(WindowPoolTest, ViewsMayBeginAnywhere) {
  const Shape shape{2, 8, 5, 6}, out{2, 8, 2, 3};
  const Tensor x = tensor(reference::random_floats(shape.numel(), 1), shape);
  Tensor y = empty(out), argmax = empty(out, DType::i32), other = unaligned(empty(out)), winners = unaligned(argmax);
  adaptive_max_pool2d(x, y, argmax, stream());
  adaptive_max_pool2d(unaligned(x), other, winners, stream());
  EXPECT_EQ(other.to_vector<float>(), y.to_vector<float>());
  EXPECT_EQ(winners.to_vector<std::int32_t>(), argmax.to_vector<std::int32_t>());
  adaptive_avg_pool2d(x, y, stream());
  adaptive_avg_pool2d(unaligned(x), other, stream());
  EXPECT_EQ(other.to_vector<float>(), y.to_vector<float>());
}

/// The same numbers in bf16, which holds them, give what the CPU gives, rounded.
class WindowPoolBf16 : public DeviceTest {
 protected:
  static Tensor rounded(const Shape& shape, unsigned seed) {
    std::vector<float> values = reference::random_floats(shape.numel(), seed);
    for (float& value : values) value = to_float(to_bf16(value));
    return Tensor::from(values, shape);
  }
  Tensor narrow(const Tensor& host) {
    Tensor y = empty(host.shape(), DType::bf16);
    cast(host.to(device()), y, stream());
    return y;
  }
  void expect_rounded(const Tensor& actual, const Tensor& expected) {
    Tensor wide = empty(actual.shape());
    cast(actual, wide, stream());
    expect_close(wide.to_vector<float>(), as_doubles(expected.to_vector<float>()), kBf16);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, WindowPoolBf16, testing::Values(Device::cuda()), device_name);

TEST_P(WindowPoolBf16, RoundsWhatTheCpuComputes) {
  Stream cpu;
  for (const std::int64_t C : {5, 8}) {
    const Shape shape{2, C, 7, 6}, out{2, C, 3, 4};
    const Tensor x = rounded(shape, 1), dy = rounded(out, 2);
    Tensor y = Tensor::empty(out), dx = Tensor::empty(shape), y16 = empty(out, DType::bf16), dx16 = empty(shape, DType::bf16);
    adaptive_avg_pool2d(x, y, cpu);
    adaptive_avg_pool2d(narrow(x), y16, stream());
    expect_rounded(y16, y);
    adaptive_avg_pool2d_backward(dy, dx, cpu);
    adaptive_avg_pool2d_backward(narrow(dy), dx16, stream());
    expect_rounded(dx16, dx);
    Tensor argmax = Tensor::empty(out, DType::i32), winners = empty(out, DType::i32);
    adaptive_max_pool2d(x, y, argmax, cpu);
    adaptive_max_pool2d(narrow(x), y16, winners, stream());
    EXPECT_EQ(winners.to_vector<std::int32_t>(), argmax.to_vector<std::int32_t>());
    expect_rounded(y16, y);
    adaptive_max_pool2d_backward(dy, argmax, dx, cpu);
    adaptive_max_pool2d_backward(narrow(dy), winners, dx16, stream());
    expect_rounded(dx16, dx);
  }
}

TEST_P(WindowPoolBf16, AveragesRoundWhatTheCpuComputes) {
  Stream cpu;
  for (const Averages& each : kAverages) {
    SCOPED_TRACE(each.x.string());
    const Shape out = avg_pool2d_shape(each.x, each.pool);
    const Tensor x = rounded(each.x, 1), dy = rounded(out, 2);
    Tensor y = Tensor::empty(out), dx = Tensor::empty(each.x), y16 = empty(out, DType::bf16), dx16 = empty(each.x, DType::bf16);
    avg_pool2d(x, each.pool, y, cpu);
    avg_pool2d(narrow(x), each.pool, y16, stream());
    expect_rounded(y16, y);
    avg_pool2d_backward(dy, each.pool, dx, cpu);
    avg_pool2d_backward(narrow(dy), each.pool, dx16, stream());
    expect_rounded(dx16, dx);
  }
}

TEST_P(WindowPoolTest, RefusesTensorsThatDoNotFitTogether) {
  Tensor x = empty({1, 2, 4, 4}), y = empty({1, 3, 2, 2}), argmax = empty({1, 2, 2, 2}, DType::i32);
  EXPECT_THAT([&] { adaptive_avg_pool2d(x, y, stream()); },
              misuse("adaptive_avg_pool2d: y must be [1, 2, 2, 2], got [1, 3, 2, 2]"));
  EXPECT_THAT([&] { adaptive_max_pool2d_backward(y, argmax, x, stream()); }, misuse("adaptive_max_pool2d_backward: dy must be"));
  EXPECT_THAT([&] { avg_pool2d(x, {.kernel_size = 2}, y, stream()); }, misuse("avg_pool2d: y must be [1, 2, 2, 2]"));
  EXPECT_THAT(
      [&] {
        avg_pool2d_shape({1, 1, 4, 4}, {.kernel_size = 2, .divisor_override = 0});
      },
      misuse("AvgPool2d: divisor_override must be another number than 0, got 0"));
  EXPECT_THAT([&] { adaptive_pool2d_shape({1, 1, 4, 4}, {0, 1}); }, misuse("output_size must be positive, got 0x1"));
}

}  // namespace
}  // namespace gpucnn::kernels
