#include <gpucnn/kernels/pool/max_pool2d.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include <gpucnn/kernels/copy/cast.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/max_pool2d.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::widen;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr Pool2d kHalving{.kernel_size = 2, .stride = 2};

TEST(MaxPool2dShape, CountsWindowsThatFit) {
  EXPECT_EQ(max_pool2d_shape({2, 3, 32, 32}, kHalving), (Shape{2, 3, 16, 16}));
  EXPECT_EQ(max_pool2d_shape({0, 3, 7, 5}, kHalving), (Shape{0, 3, 3, 2}));
  EXPECT_EQ(max_pool2d_shape({1, 1, 7, 7}, {.kernel_size = 3, .stride = 2, .padding = 1}), (Shape{1, 1, 4, 4}));
  EXPECT_EQ(max_pool2d_shape({1, 1, 7, 8}, {.kernel_size = {1, 4}, .stride = {3, 1}, .padding = {0, 2}}), (Shape{1, 1, 3, 9}));
}

TEST(MaxPool2dShape, RoundsUpOnlyToWindowsThatBeginInTheImageOrBeforeIt) {
  EXPECT_EQ(max_pool2d_shape({1, 1, 7, 8}, {.kernel_size = 2, .stride = 2, .ceil_mode = true}), (Shape{1, 1, 4, 4}));
  // The window at 4 x stride 2 - padding 1 = 7 would begin behind the image.
  EXPECT_EQ(max_pool2d_shape({1, 1, 7, 7}, {.kernel_size = 2, .stride = 2, .padding = 1, .ceil_mode = true}), (Shape{1, 1, 4, 4}));
  EXPECT_EQ(max_pool2d_shape({1, 1, 4, 4}, {.kernel_size = 5, .stride = 2, .ceil_mode = true}), (Shape{1, 1, 1, 1}));
  EXPECT_EQ(max_pool2d_shape({1, 1, 9, 9}, {.kernel_size = 3, .stride = 2, .dilation = 2}), (Shape{1, 1, 3, 3}));
}

TEST(MaxPool2dArgmax, IsAByteWhereThatHoldsTheIndex) {
  EXPECT_EQ(max_pool2d_argmax_dtype({.kernel_size = 16, .stride = 1}), DType::u8);
  EXPECT_EQ(max_pool2d_argmax_dtype({.kernel_size = {1, 257}, .stride = 1}), DType::i32);
}

TEST(MaxPool2dShape, RefusesWhatDoesNotFit) {
  const Shape x{1, 1, 4, 4};
  EXPECT_THAT([&] { max_pool2d_shape({4, 4}, kHalving); }, misuse("expects [N, C, H, W], got [4, 4]"));
  EXPECT_THAT([&] { max_pool2d_shape({3, 4, 4}, kHalving); }, misuse("got [3, 4, 4]: add a batch dimension"));
  EXPECT_THAT([&] { max_pool2d_shape(x, {.kernel_size = 5, .stride = 1}); },
              misuse("a window of 5x5 with padding 0x0 does not fit [1, 1, 4, 4]"));
  EXPECT_THAT([&] { max_pool2d_shape({1, 1, 0, 4}, {.kernel_size = 2, .stride = 1, .padding = 1}); }, misuse("does not fit"));
  EXPECT_THAT([&] { max_pool2d_shape(x, {.kernel_size = 0, .stride = 1}); }, misuse("MaxPool2d: kernel_size must be positive"));
  EXPECT_THAT([&] { max_pool2d_shape(x, {.kernel_size = 1 << 16, .stride = 1}); },
              misuse("at most 2147483647 elements, got 65536x65536"));
  EXPECT_THAT(
      [&] {
        max_pool2d_shape(x, {.kernel_size = 2, .stride = 1, .dilation = {0, 1}});
      },
      misuse("MaxPool2d: dilation must be positive, got 0x1"));
  EXPECT_THAT([&] { max_pool2d_shape(x, {.kernel_size = 3, .stride = 1, .dilation = 2}); },
              misuse("a window of 3x3 with padding 0x0, dilation 2x2 does not fit [1, 1, 4, 4]"));
  EXPECT_THAT([&] { max_pool2d_shape(x, {.kernel_size = 6, .stride = 2, .ceil_mode = true}); }, misuse("does not fit"));
  EXPECT_THAT([&] { max_pool2d_shape(x, {.kernel_size = 2, .stride = {1, 0}}); }, misuse("stride must be positive, got 1x0"));
  EXPECT_THAT([&] { max_pool2d_shape(x, {.kernel_size = 3, .stride = 1, .padding = 2}); }, misuse("padding must be"));
  EXPECT_THAT([&] { max_pool2d_shape(x, {.kernel_size = 3, .stride = 1, .padding = {0, -1}}); }, misuse("padding must be"));
}

class MaxPool2dTest : public DeviceTest {
 protected:
  struct Pooled {
    std::vector<float> y;
    std::vector<std::int32_t> argmax;
  };

  static std::vector<std::int32_t> indices(const Tensor& argmax) {
    if (argmax.dtype() == DType::i32) return argmax.to_vector<std::int32_t>();
    const std::vector<std::uint8_t> bytes = argmax.to_vector<std::uint8_t>();
    return {bytes.begin(), bytes.end()};
  }
  /// argmax as the operation keeps it.
  Tensor kept(const std::vector<std::int32_t>& argmax, const Shape& shape, const Pool2d& window) const {
    if (max_pool2d_argmax_dtype(window) == DType::i32) return tensor(argmax, shape);
    std::vector<std::uint8_t> bytes;
    for (const std::int32_t index : argmax) bytes.push_back(static_cast<std::uint8_t>(index));
    return tensor(bytes, shape);
  }

  Pooled pool(const std::vector<float>& x, const Shape& shape, const Pool2d& pool) {
    const Shape out = max_pool2d_shape(shape, pool);
    Tensor y = empty(out), argmax = empty(out, max_pool2d_argmax_dtype(pool));
    max_pool2d(tensor(x, shape), pool, y, argmax, stream());
    return {y.to_vector<float>(), indices(argmax)};
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, MaxPool2dTest, devices(), device_name);

TEST_P(MaxPool2dTest, TakesTheLargestOfEachWindowInEachChannel) {
  const Pooled pooled = pool({1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, -4, -5, -6, -7, -8}, {1, 2, 2, 4}, kHalving);
  EXPECT_EQ(pooled.y, (std::vector<float>{6, 8, -1, -3}));
  EXPECT_EQ(pooled.argmax, (std::vector<std::int32_t>{3, 3, 0, 0}));
}

TEST_P(MaxPool2dTest, TheFirstOfEqualsWins) {
  const Pooled pooled = pool({7, 7, 0, 1, 7, 7, 1, 1}, {1, 1, 2, 4}, kHalving);
  EXPECT_EQ(pooled.y, (std::vector<float>{7, 1}));
  EXPECT_EQ(pooled.argmax, (std::vector<std::int32_t>{0, 1}));
}

TEST_P(MaxPool2dTest, TheLastNanWins) {
  const Pooled pooled = pool({kNan, 9, 1, kNan, kNan, kInfinity, 2, 3}, {1, 1, 2, 4}, kHalving);
  expect_close(pooled.y, reference::Values{kNan, kNan}, kSameValue);
  EXPECT_EQ(pooled.argmax, (std::vector<std::int32_t>{2, 1}));
}

TEST_P(MaxPool2dTest, PaddingNeverWinsNotEvenAgainstMinusInfinity) {
  const Pooled pooled = pool({-kInfinity}, {1, 1, 1, 1}, {.kernel_size = 3, .stride = 1, .padding = 1});
  EXPECT_EQ(pooled.y, (std::vector<float>{-kInfinity}));
  EXPECT_EQ(pooled.argmax, (std::vector<std::int32_t>{4}));
}

TEST_P(MaxPool2dTest, AWindowWithoutTheImageGivesMinusInfinityAndNoGradient) {
  const Pool2d window{.kernel_size = 2, .stride = 1, .padding = 1, .dilation = 2};  // elements at -1 and 1 of one
  EXPECT_EQ(pool({3}, {1, 1, 1, 1}, window).y, (std::vector<float>{-kInfinity}));
  Tensor y = empty({1, 1, 1, 1}), argmax = empty({1, 1, 1, 1}, DType::u8), dx = empty({1, 1, 1, 1});
  max_pool2d(tensor<float>({3}, {1, 1, 1, 1}), window, y, argmax, stream());
  max_pool2d_backward(tensor<float>({5}, {1, 1, 1, 1}), argmax, window, dx, stream());
  EXPECT_EQ(dx.to_vector<float>(), (std::vector<float>{0}));
}

TEST_P(MaxPool2dTest, BackwardAddsWhatOverlappingWindowsGive) {
  // Three windows of width 2 over 1, 9, 3, 0: the 9 wins two of them.
  Tensor dx = empty({1, 1, 1, 4});
  max_pool2d_backward(tensor<float>({10, 20, 40}, {1, 1, 1, 3}), tensor<std::uint8_t>({1, 0, 0}, {1, 1, 1, 3}),
                      {.kernel_size = {1, 2}, .stride = 1}, dx, stream());
  EXPECT_EQ(dx.to_vector<float>(), (std::vector<float>{0, 30, 40, 0}));
}

TEST_P(MaxPool2dTest, NeedsNoArgmaxWithoutABackward) {
  Tensor y = empty({1, 17, 1, 1}), none;
  std::vector<float> x = reference::random_floats(17 * 4, 1);
  max_pool2d(tensor(x, {1, 17, 2, 2}), kHalving, y, none, stream());
  EXPECT_EQ(y.to_vector<float>(), pool(x, {1, 17, 2, 2}, kHalving).y);
  Tensor one = empty({1, 17, 3, 3});
  max_pool2d(tensor(x, {1, 17, 2, 2}), {.kernel_size = 2, .stride = 1, .padding = 1}, one, none, stream());
  EXPECT_EQ(one.to_vector<float>()[4], y.to_vector<float>()[0]);
}

struct Sizes {
  std::int64_t N, C, H, W;
  Pool2d pool;
};

const Sizes kSizes[] = {
    {4, 16, 64, 64, kHalving},
    {4, 32, 33, 31, kHalving},
    {9, 32, 64, 32, kHalving},
    {3, 9, 63, 80, kHalving},
    {1, 33, 2, 3, kHalving},
    {3, 1, 31, 33, kHalving},
    {2, 3, 3, 2, kHalving},
    {3, 4, 2, 5, kHalving},
    {2, 6, 5, 4, kHalving},
    {1, 257, 4, 5, kHalving},
    {0, 16, 4, 4, kHalving},
    {2, 0, 4, 4, kHalving},
    {3, 17, 33, 31, {.kernel_size = 3, .stride = 2, .padding = 1}},
    {2, 17, 63, 65, {.kernel_size = 3, .stride = 2, .padding = 1}},
    {2, 31, 9, 40, {.kernel_size = 3, .stride = 1, .padding = 1}},
    {2, 8, 7, 9, {.kernel_size = {2, 5}, .stride = {1, 3}, .padding = {1, 2}}},
    {2, 5, 11, 13, {.kernel_size = 2, .stride = {3, 4}}},
    {1, 3, 16, 16, {.kernel_size = 16, .stride = 1}},
    {1, 3, 20, 20, {.kernel_size = {16, 16}, .stride = 5, .padding = 8}},
    {2, 4, 5, 5, {.kernel_size = 1, .stride = 1}},
    {2, 12, 7, 7, {.kernel_size = 2, .stride = 2, .padding = 1}},
    {2, 20, 9, 8, {.kernel_size = 3, .stride = 1}},
    {1, 16, 257, 31, {.kernel_size = 2, .stride = 2, .padding = 1}},
    {0, 3, 5, 5, {.kernel_size = 3, .stride = 1}},
    {2, 12, 33, 31, {.kernel_size = 3, .stride = 2, .padding = 1, .dilation = 2}},
    {2, 7, 12, 15, {.kernel_size = {3, 2}, .stride = {1, 3}, .padding = {1, 0}, .dilation = {3, 4}}},
    {3, 9, 8, 7, {.kernel_size = 2, .stride = 2, .ceil_mode = true}},
    {2, 8, 9, 10, {.kernel_size = 3, .stride = 3, .padding = 1, .ceil_mode = true}},
    {2, 5, 11, 6, {.kernel_size = {2, 3}, .stride = {3, 2}, .padding = {1, 0}, .dilation = {2, 1}, .ceil_mode = true}},
    {1, 3, 2, 2, {.kernel_size = 3, .stride = 2, .ceil_mode = true}},
    {2, 20, 56, 56, {.kernel_size = 56, .stride = 56}},
    {1, 5, 21, 19, {.kernel_size = {17, 18}, .stride = {2, 1}, .padding = {8, 9}}},
    {3, 12, 32, 32, {.kernel_size = 3, .stride = 2, .padding = 1}},
    {2, 36, 17, 20, {.kernel_size = 3, .stride = 2}},
    {5, 8, 11, 14, {.kernel_size = 3, .stride = 2, .padding = {1, 0}, .ceil_mode = true}},
    {2, 4, 1, 1, {.kernel_size = 3, .stride = 2, .padding = 1}},
    {1, 4, 40, 36, {.kernel_size = 17, .stride = 3, .padding = 2, .dilation = 2, .ceil_mode = true}},
};

/// Few different values, so that many are equal, and some NaN.
std::vector<float> values_with_ties(std::int64_t count) {
  std::vector<float> values = reference::random_floats(count, 3);
  for (float& value : values) value = std::abs(value) > 0.98F ? kNan : std::round(4 * value);
  return values;
}

TEST_P(MaxPool2dTest, AgreesWithTheReferenceForEverySize) {
  for (const Sizes& sizes : kSizes) {
    const Pool2d& window = sizes.pool;
    const Shape shape{sizes.N, sizes.C, sizes.H, sizes.W}, out = max_pool2d_shape(shape, window);
    SCOPED_TRACE(shape.string());
    const std::vector<float> x = values_with_ties(shape.numel()), dy = reference::random_floats(out.numel(), 4);
    const reference::MaxPool2d planes{sizes.N * sizes.C, sizes.H,        sizes.W,         window.kernel_size,
                                      window.stride,     window.padding, window.dilation, window.ceil_mode};
    const reference::MaxPooled expected = reference::max_pool2d(planes, widen(x));
    const reference::Values expected_dx = reference::max_pool2d_backward(planes, widen(dy), expected.argmax);
    everywhere(device(), [&] {
      const Pooled pooled = pool(x, shape, window);
      expect_close(pooled.y, expected.y, kSameValue);
      EXPECT_EQ(pooled.argmax, expected.argmax);
      Tensor dx = tensor(std::vector<float>(x.size(), kNan), shape);
      max_pool2d_backward(tensor(dy, out), kept(expected.argmax, out, window), window, dx, stream());
      expect_close(dx.to_vector<float>(), expected_dx, kSum);
      return dx.to_vector<float>();
    });
  }
}

TEST_P(MaxPool2dTest, GivesTheSameWithoutArgmaxForAnyNumberOfChannels) {
  for (const std::int64_t C : {1, 3, 6, 8, 15, 16, 17, 20, 50}) {
    SCOPED_TRACE(C);
    const Shape shape{2, C, 5, 7};
    const std::vector<float> x = values_with_ties(shape.numel());
    everywhere(device(), [&] {
      Tensor y = empty(max_pool2d_shape(shape, kHalving)), none;
      max_pool2d(tensor(x, shape), kHalving, y, none, stream());
      expect_close(y.to_vector<float>(), widen(pool(x, shape, kHalving).y), kSameValue);
      return y.to_vector<float>();
    });
  }
}

TEST_P(MaxPool2dTest, ChoosesAndAddsAsTheCpuDoes) {
  Stream cpu;
  for (const Sizes& sizes : kSizes) {
    const Shape shape{sizes.N, sizes.C, sizes.H, sizes.W}, out = max_pool2d_shape(shape, sizes.pool);
    SCOPED_TRACE(shape.string());
    const std::vector<float> x = values_with_ties(shape.numel()), dy = reference::random_floats(out.numel(), 4);
    Tensor y = Tensor::empty(out), argmax = Tensor::empty(out, max_pool2d_argmax_dtype(sizes.pool)), dx = Tensor::empty(shape),
           here = empty(shape);
    max_pool2d(Tensor::from(x, shape), sizes.pool, y, argmax, cpu);
    EXPECT_EQ(pool(x, shape, sizes.pool).argmax, indices(argmax));
    max_pool2d_backward(Tensor::from(dy, out), argmax, sizes.pool, dx, cpu);
    max_pool2d_backward(tensor(dy, out), argmax.to(device()), sizes.pool, here, stream());
    EXPECT_EQ(here.to_vector<float>(), dx.to_vector<float>());
  }
}

TEST_P(MaxPool2dTest, ViewsMayBeginAnywhere) {
  for (const Pool2d& window : {kHalving, Pool2d{.kernel_size = 3, .stride = 2, .padding = 1}}) {
    const Shape shape{2, 8, 7, 6}, out = max_pool2d_shape(shape, window);
    const Tensor x = tensor(reference::random_floats(shape.numel(), 1), shape);
    const Tensor dy = tensor(reference::random_floats(out.numel(), 2), out);
    Tensor y = empty(out), argmax = empty(out, DType::u8), dx = empty(shape);
    max_pool2d(x, window, y, argmax, stream());
    max_pool2d_backward(dy, argmax, window, dx, stream());
    for (int odd = 0; odd < 3; ++odd) {
      SCOPED_TRACE(odd);
      Tensor values = odd == 0 ? unaligned(y) : empty(out), indices = odd == 1 ? unaligned(argmax) : empty(out, DType::u8);
      max_pool2d(odd == 2 ? unaligned(x) : x, window, values, indices, stream());
      EXPECT_EQ(values.to_vector<float>(), y.to_vector<float>());
      EXPECT_EQ(indices.to_vector<std::uint8_t>(), argmax.to_vector<std::uint8_t>());
      Tensor gradient = odd == 0 ? unaligned(dx) : empty(shape);
      max_pool2d_backward(odd == 2 ? unaligned(dy) : dy, indices, window, gradient, stream());
      EXPECT_EQ(gradient.to_vector<float>(), dx.to_vector<float>());
    }
  }
}

/// What `max_pool2d` and its backward write for images of this dtype. A tensor that begins anywhere takes the path for any window.
struct Passed {
  std::vector<float> y, dx;
  std::vector<std::uint8_t> argmax;
};

TEST_P(MaxPool2dTest, WindowsOfThreeByAStrideOfTwoGiveTheBitsOfThePathForAnyWindow) {
  std::mt19937 random(5);
  const auto drawn = [&](int first, int last) {
    return first + static_cast<int>(random() % static_cast<unsigned>(last - first + 1));
  };
  for (int draw = 0; draw < 120; ++draw) {
    const Pool2d window{.kernel_size = 3, .stride = 2, .padding = {drawn(0, 1), drawn(0, 1)}, .ceil_mode = drawn(0, 1) == 1};
    const Shape shape{drawn(1, 3), 4 * drawn(1, 5), drawn(2, 19), drawn(2, 19)};
    if (shape[2] + 2 * window.padding.height < 3 || shape[3] + 2 * window.padding.width < 3) continue;
    const DType dtype = device().kind == Device::Kind::cuda && drawn(0, 1) == 1 ? DType::bf16 : DType::f32;
    const Shape out = max_pool2d_shape(shape, window);
    SCOPED_TRACE(testing::Message() << shape.string() << (dtype == DType::bf16 ? " bf16" : " f32") << " padding "
                                    << window.padding.height << "x" << window.padding.width << " ceil_mode " << window.ceil_mode);
    const auto typed = [&](const std::vector<float>& values, const Shape& as) {
      if (dtype == DType::f32) return tensor(values, as);
      Tensor to = empty(as, dtype);
      cast(tensor(values, as), to, stream());
      return to;
    };
    const auto wide = [&](const Tensor& values) {
      if (dtype == DType::f32) return values.to_vector<float>();
      Tensor to = empty(values.shape());
      cast(values, to, stream());
      return to.to_vector<float>();
    };
    std::vector<float> values = values_with_ties(shape.numel());
    for (float& value : values) {
      const int kind = drawn(0, 40);
      if (kind < 3) value = kind == 0 ? -kInfinity : kind == 1 ? kInfinity : -0.0F;
    }
    const Tensor x = typed(values, shape), dy = typed(reference::random_floats(out.numel(), 4), out);
    const auto pass = [&](const Tensor& from, const Tensor& gradient) {
      Tensor y = empty(out, dtype), argmax = empty(out, DType::u8), dx = empty(shape, dtype);
      max_pool2d(from, window, y, argmax, stream());
      max_pool2d_backward(gradient, argmax, window, dx, stream());
      return Passed{wide(y), wide(dx), argmax.to_vector<std::uint8_t>()};
    };
    const Passed own = pass(x, dy), any = pass(unaligned(x), unaligned(dy));
    ASSERT_EQ(own.argmax, any.argmax);
    ASSERT_EQ(std::memcmp(own.y.data(), any.y.data(), own.y.size() * sizeof(float)), 0);
    ASSERT_EQ(std::memcmp(own.dx.data(), any.dx.data(), own.dx.size() * sizeof(float)), 0);
  }
}

TEST_P(MaxPool2dTest, RefusesTensorsThatDoNotFitTogether) {
  Tensor x = empty({1, 2, 4, 4}), y = empty({1, 2, 2, 2}), argmax = empty({1, 2, 2, 2}, DType::u8), wrong = empty({1, 2, 2, 3});
  EXPECT_THAT([&] { max_pool2d(argmax, kHalving, y, argmax, stream()); }, misuse("max_pool2d: x must be f32, got u8"));
  EXPECT_THAT([&] { max_pool2d(x, kHalving, wrong, argmax, stream()); }, misuse("max_pool2d: y must be [1, 2, 2, 2]"));
  EXPECT_THAT([&] { max_pool2d(x, kHalving, y, wrong, stream()); }, misuse("max_pool2d: argmax must be u8"));
  Tensor over = x.view(0, y.shape());
  EXPECT_THAT([&] { max_pool2d(x, kHalving, over, argmax, stream()); }, misuse("max_pool2d: y and x share memory"));
  EXPECT_THAT([&] { max_pool2d_backward(wrong, argmax, kHalving, x, stream()); }, misuse("max_pool2d_backward: dy must be"));
  EXPECT_THAT([&] { max_pool2d_backward(y, y, kHalving, x, stream()); }, misuse("max_pool2d_backward: argmax must be u8"));
  EXPECT_THAT([&] { max_pool2d_backward(y, argmax, {.kernel_size = 9, .stride = 9}, x, stream()); },
              misuse("max_pool2d_backward: a window of 9x9"));
  EXPECT_THAT([&] { max_pool2d_backward(over, argmax, kHalving, x, stream()); }, misuse("dx and dy share memory"));
}

}  // namespace
}  // namespace gpucnn::kernels
