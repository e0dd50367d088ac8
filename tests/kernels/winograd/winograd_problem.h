#pragma once

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/conv/conv2d.h>

#include "close.h"
#include "everywhere.h"
#include "reference/conv2d.h"

/// What the tests of Winograd's convolutions share, whatever the window.
namespace gpucnn::kernels {

inline std::string name_of(const reference::Conv2d& c) {
  return std::to_string(c.N) + "x" + std::to_string(c.C) + "x" + std::to_string(c.H) + "x" + std::to_string(c.W) + " to " +
         std::to_string(c.K);
}

struct WinogradGradients {
  std::vector<float> dweight, dbias;
};

/// A convolution's tensors from fixed seeds, in logical order.
struct WinogradProblem {
  explicit WinogradProblem(const reference::Conv2d& c)
      : sizes(c),
        x(reference::random_floats(c.x_numel(), 1)),
        weight(reference::random_floats(c.weight_numel(), 2)),
        bias(reference::random_floats(c.K, 3)),
        dy(reference::random_floats(c.y_numel(), 4)) {}

  Shape x_shape() const { return {sizes.N, sizes.C, sizes.H, sizes.W}; }
  Shape y_shape() const { return {sizes.N, sizes.K, sizes.Ho(), sizes.Wo()}; }
  Shape weight_shape() const { return {sizes.K, sizes.C, sizes.kernel_size.height, sizes.kernel_size.width}; }
  Tensor weights() const { return Tensor::from(weight, weight_shape()); }

  std::vector<double> expected() const {
    return reference::conv2d(sizes, reference::widen(x), reference::widen(weight), reference::widen(bias));
  }
  reference::Conv2dGradients expected_gradients() const {
    return reference::conv2d_backward(sizes, reference::widen(x), reference::widen(weight), reference::widen(dy));
  }

  reference::Conv2d sizes;
  std::vector<float> x, weight, bias, dy;
};

/// Expects the reference's numbers from `forward()` of the problem, everywhere.
template <class Problem>
void expect_forward(const reference::Conv2d& c) {
  SCOPED_TRACE(name_of(c));
  const Problem problem(c);
  const auto expected = problem.expected();
  everywhere(Device::cpu(), [&] {
    const auto y = problem.forward();
    expect_close(y, expected, kSum);
    return y;
  });
}

/// Expects of each image the bits that it has in a batch of its own.
template <class Problem>
void expect_images_alone(const reference::Conv2d& c) {
  SCOPED_TRACE(name_of(c));
  const Problem all(c);
  const auto batch = all.forward();
  reference::Conv2d one = c;
  one.N = 1;
  Problem alone(one);
  alone.weight = all.weight;
  for (std::int64_t n = 0; n < c.N; ++n) {
    alone.x.assign(all.x.begin() + n * one.x_numel(), all.x.begin() + (n + 1) * one.x_numel());
    const auto y = alone.forward();
    EXPECT_EQ(std::memcmp(y.data(), batch.data() + n * one.y_numel(), y.size() * sizeof(float)), 0) << "image " << n;
  }
}

/// Expects that gradients are added to what was there, and that none of the bias changes nothing.
template <class Problem>
void expect_added(const reference::Conv2d& c) {
  const Problem problem(c);
  const WinogradGradients fresh = problem.gradients(), added = problem.gradients(true, 2.0F);
  for (std::size_t i = 0; i < added.dweight.size(); ++i) ASSERT_FLOAT_EQ(added.dweight[i], fresh.dweight[i] + 2.0F) << i;
  for (std::size_t i = 0; i < added.dbias.size(); ++i) ASSERT_FLOAT_EQ(added.dbias[i], fresh.dbias[i] + 2.0F) << i;
  EXPECT_EQ(problem.gradients(false).dweight, fresh.dweight);
}

/// Factors that are too large for the transforms, or no numbers.
inline constexpr float kUnfitFactors[] = {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 1e30F};

/// Expects that gradients of such factors are left to others, and what was there is as it was.
template <class Problem>
void expect_gradients_left(const reference::Conv2d& c, float factor) {
  SCOPED_TRACE(factor);
  Problem in_x(c), in_dy(c);
  in_x.x.back() = factor;
  in_dy.dy.front() = factor;
  for (const Problem& problem : {in_x, in_dy}) {
    const WinogradGradients gradients = problem.gradients(true, 3.0F, false);
    EXPECT_EQ(gradients.dweight, std::vector<float>(gradients.dweight.size(), 3.0F));
    EXPECT_EQ(gradients.dbias, std::vector<float>(gradients.dbias.size(), 3.0F));
  }
}

}  // namespace gpucnn::kernels
