#include <gpucnn/kernels/winograd/winograd_weight_grad.h>

#include <vector>

#include <gtest/gtest.h>

#include "winograd_problem.h"

namespace gpucnn::kernels {
namespace {

const reference::Conv2d kCases[] = {{.N = 1, .C = 16, .H = 2, .W = 2, .K = 16, .kernel_size = 3, .padding = 1},
                                    {.N = 2, .C = 17, .H = 5, .W = 7, .K = 33, .kernel_size = 3, .padding = 1},
                                    {.N = 3, .C = 35, .H = 8, .W = 8, .K = 48, .kernel_size = 3, .padding = 1},
                                    {.N = 9, .C = 67, .H = 4, .W = 3, .K = 19, .kernel_size = 3, .padding = 1},
                                    {.N = 1, .C = 130, .H = 9, .W = 6, .K = 65, .kernel_size = 3, .padding = 1},
                                    {.N = 33, .C = 300, .H = 5, .W = 5, .K = 16, .kernel_size = 3, .padding = 1},   // three chunks
                                    {.N = 9, .C = 16, .H = 16, .W = 15, .K = 40, .kernel_size = 3, .padding = 1}};  // nine shards

struct Problem : WinogradProblem {
  using WinogradProblem::WinogradProblem;

  /// Added to gradients of this value if there is one.
  WinogradGradients gradients(bool with_bias = true, float before = 0, bool served = true) const {
    const bool adds = before != 0;
    Tensor dweight = Tensor::full(weight_shape(), before);
    Tensor dbias = with_bias ? Tensor::full({sizes.K}, before) : Tensor{};
    const cpu::WinogradWeightGrad grad(x_shape(), y_shape());
    EXPECT_EQ(grad.run(Tensor::from(x, x_shape()), Tensor::from(dy, y_shape()), {adds, adds}, dweight, dbias), served);
    return {dweight.to_vector<float>(), with_bias ? dbias.to_vector<float>() : std::vector<float>{}};
  }
};

TEST(WinogradWeightGrad, EqualsTheReference) {
  for (const reference::Conv2d& c : kCases) {
    SCOPED_TRACE(name_of(c));
    const Problem problem(c);
    const auto expected = problem.expected_gradients();
    everywhere(Device::cpu(), [&] {
      WinogradGradients gradients = problem.gradients();
      expect_close(gradients.dweight, expected.dweight, kSum);
      expect_close(gradients.dbias, expected.dbias, kSum);
      gradients.dweight.insert(gradients.dweight.end(), gradients.dbias.begin(), gradients.dbias.end());
      return gradients.dweight;
    });
  }
}

TEST(WinogradWeightGrad, AddsWhereAskedAndNeedsNoBias) {
  for (const reference::Conv2d& c : {kCases[0], kCases[1]}) expect_added<Problem>(c);
}

TEST(WinogradWeightGrad, LeavesLargeAndNonfiniteFactorsToOthers) {
  for (const float factor : kUnfitFactors) expect_gradients_left<Problem>(kCases[2], factor);
}

}  // namespace
}  // namespace gpucnn::kernels
