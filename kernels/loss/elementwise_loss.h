#pragma once

#include <cstdint>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/loss/reduction.h>

namespace gpucnn::kernels {

/// A loss that compares each element of the input, x, with one of the targets, t. PyTorch's names and formulas, with d = x - t:
struct ElementwiseLoss {
  enum class Kind : std::uint8_t {
    mse,              ///< d^2
    l1,               ///< |d|; its derivative is 0 where d is 0
    smooth_l1,        ///< d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; `l1` where beta is 0
    bce_with_logits,  ///< weight ((1 - t) x + (1 + (pos_weight - 1) t) log(1 + exp(-x)))
  };
  Kind kind;
  double beta = 1;                        ///< of smooth_l1, >= 0
  Tensor weight = {}, pos_weight = {};    ///< of bce_with_logits: f32 [C] for x [N, C], or undefined: 1
  Reduction reduction = Reduction::mean;  ///< the mean is over elements; over none it is NaN
};

/// loss = the mean or sum over all elements, and its gradient dx. x, targets, dx: f32 of one shape, dx apart from both; loss: f32
/// []. All is computed and added in double, in an order that depends on the number of elements only. Throws `std::invalid_argument`
/// for tensors that do not fit, and for a beta that is not >= 0.
GPUCNN_API void elementwise_loss(const Tensor& x, const Tensor& targets, const ElementwiseLoss& function, Tensor& loss, Tensor& dx,
                                 Stream& stream);

}  // namespace gpucnn::kernels
