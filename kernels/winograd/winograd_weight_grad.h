#pragma once

#include <cstdint>

#include <gpucnn/core/shape.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn::kernels::cpu {

/// Whether Winograd computes the gradient of the weights of a 3x3 convolution with stride 1 and padding 1 of x into K channels in
/// less time than direct sums.
bool winograd_weight_grad_pays(const Shape& x, std::int64_t K);

/// The gradients of weights and bias of a 3x3 convolution with stride 1 and padding 1. The weights' are G^T [(A dy A^T) * (B^T x
/// B), summed over all tiles] G: the transposed Winograd F(2x2,3x3). The sums have one order, whatever the threads.
class WinogradWeightGrad {
 public:
  /// x: [N, C, H, W], y: [N, K, H, W].
  WinogradWeightGrad(const Shape& x, const Shape& y) : N_(x[0]), C_(x[1]), K_(y[1]), H_(x[2]), W_(x[3]) {}

  /// What is added to what is there.
  struct Accumulate {
    bool dweight = false, dbias = false;
  };
  /// dbias is undefined without a bias. False, with both gradients as they were, if x or dy is not finite or so large that products
  /// could overflow.
  bool run(const Tensor& x, const Tensor& dy, Accumulate accumulate, Tensor& dweight, Tensor& dbias) const;

 private:
  std::int64_t N_, C_, K_, H_, W_;
};

}  // namespace gpucnn::kernels::cpu
