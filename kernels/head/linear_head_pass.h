#pragma once

#include <gpucnn/core/precision.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/head/linear_head.h>

namespace gpucnn::kernels::cuda {

/// A classifier's last two Linear layers. The first one's operands:
struct HiddenLinear {
  Tensor x;       // [N, I], of the precision's `activation_dtype`
  Tensor weight;  // f32 [K, I], rounded as it is multiplied
  Precision precision;
};

/// What the forward keeps for the backward: the results of `linear_head`.
struct LinearHeadPass {
  Tensor dhidden, slices, parts;
};

/// Two kernels: the products of `hidden`, and the head behind them. `head.products` is made here. Returns the logits, f32 [N, C].
Tensor linear_head_forward(const HiddenLinear& hidden, LinearHead head, LinearHeadPass& kept, Stream& stream);

/// Gradients of a Linear's parameters, f32, written or added to. `bias` is undefined if there is none. `may_wait`: see add_slices.
struct LinearGradients {
  Tensor weight, bias;
  bool add_weight, add_bias, may_wait;
};

/// One kernel: the gradients of `hidden`. add_slices then adds those of both layers. dx: of x's shape and dtype, or undefined if it
/// is not wanted.
void linear_head_backward(const HiddenLinear& hidden, const LinearHeadPass& kept, LinearGradients& of_hidden,
                          LinearGradients& of_output, Tensor& dx, Stream& stream);

}  // namespace gpucnn::kernels::cuda
