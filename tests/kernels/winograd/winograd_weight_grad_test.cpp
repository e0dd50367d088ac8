#include <gpucnn/kernels/winograd/winograd_weight_grad.h>

#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "close.h"
#include "everywhere.h"
#include "reference/conv2d.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

const reference::Conv2d kCases[] = {{.N = 1, .C = 16, .H = 2, .W = 2, .K = 16, .kernel_size = 3, .padding = 1},
                                    {.N = 2, .C = 17, .H = 5, .W = 7, .K = 33, .kernel_size = 3, .padding = 1},
                                    {.N = 3, .C = 35, .H = 8, .W = 8, .K = 48, .kernel_size = 3, .padding = 1},
                                    {.N = 9, .C = 67, .H = 4, .W = 3, .K = 19, .kernel_size = 3, .padding = 1},
                                    {.N = 1, .C = 130, .H = 9, .W = 6, .K = 65, .kernel_size = 3, .padding = 1},
                                    {.N = 33, .C = 300, .H = 5, .W = 5, .K = 16, .kernel_size = 3, .padding = 1}};  // three chunks

struct Gradients {
  std::vector<float> dweight, dbias;
};

/// A convolution's tensors from fixed seeds.
struct Problem {
  explicit Problem(const reference::Conv2d& c) : sizes(c), x(random_floats(c.x_numel(), 1)), dy(random_floats(c.y_numel(), 2)) {}

  /// Added to gradients of this value if there is one.
  Gradients gradients(bool with_bias = true, float before = 0, bool served = true) const {
    const bool adds = before != 0;
    Tensor dweight = Tensor::full({sizes.K, sizes.C, 3, 3}, before);
    Tensor dbias = with_bias ? Tensor::full({sizes.K}, before) : Tensor{};
    const Shape x_shape{sizes.N, sizes.C, sizes.H, sizes.W}, y_shape{sizes.N, sizes.K, sizes.H, sizes.W};
    const cpu::WinogradWeightGrad grad(x_shape, y_shape);
    EXPECT_EQ(grad.run(Tensor::from(x, x_shape), Tensor::from(dy, y_shape), {adds, adds}, dweight, dbias), served);
    return {dweight.to_vector<float>(), with_bias ? dbias.to_vector<float>() : std::vector<float>{}};
  }

  auto expected() const {
    return reference::conv2d_backward(sizes, widen(x), std::vector<double>(static_cast<std::size_t>(sizes.weight_numel())),
                                      widen(dy));
  }

  reference::Conv2d sizes;
  std::vector<float> x, dy;
};

std::string name_of(const reference::Conv2d& c) {
  return std::to_string(c.N) + "x" + std::to_string(c.C) + "x" + std::to_string(c.H) + "x" + std::to_string(c.W) + " to " +
         std::to_string(c.K);
}

TEST(WinogradWeightGrad, EqualsTheReference) {
  for (const reference::Conv2d& c : kCases) {
    SCOPED_TRACE(name_of(c));
    const Problem problem(c);
    const auto expected = problem.expected();
    everywhere(Device::cpu(), [&] {
      Gradients gradients = problem.gradients();
      expect_close(gradients.dweight, expected.dweight, kSum);
      expect_close(gradients.dbias, expected.dbias, kSum);
      gradients.dweight.insert(gradients.dweight.end(), gradients.dbias.begin(), gradients.dbias.end());
      return gradients.dweight;
    });
  }
}

TEST(WinogradWeightGrad, AddsWhereAsked) {
  const Problem problem(kCases[1]);
  const Gradients from_zero = problem.gradients(), added = problem.gradients(true, 2.0F);
  for (std::size_t i = 0; i < added.dweight.size(); ++i) ASSERT_FLOAT_EQ(added.dweight[i], from_zero.dweight[i] + 2.0F) << i;
  for (std::size_t i = 0; i < added.dbias.size(); ++i) ASSERT_FLOAT_EQ(added.dbias[i], from_zero.dbias[i] + 2.0F) << i;
}

TEST(WinogradWeightGrad, NeedsNoBias) {
  const Problem problem(kCases[0]);
  EXPECT_EQ(problem.gradients(false).dweight, problem.gradients().dweight);
}

TEST(WinogradWeightGrad, LeavesLargeAndNonfiniteFactorsToOthers) {
  for (const float value : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN(), 1e30F}) {
    SCOPED_TRACE(value);
    Problem in_x(kCases[2]), in_dy(kCases[2]);
    in_x.x.back() = value;
    in_dy.dy.front() = value;
    for (const Problem& problem : {in_x, in_dy}) {
      const Gradients gradients = problem.gradients(true, 3.0F, false);
      EXPECT_EQ(gradients.dweight, std::vector<float>(gradients.dweight.size(), 3.0F));
      EXPECT_EQ(gradients.dbias, std::vector<float>(gradients.dbias.size(), 3.0F));
    }
  }
}

}  // namespace
}  // namespace gpucnn::kernels
