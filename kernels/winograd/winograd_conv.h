#pragma once

#include <cstdint>

#include <gpucnn/core/shape.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/common/seen_values.h>
#include <gpucnn/kernels/winograd/filter_range.h>

namespace gpucnn::kernels::cpu {

struct WinogradTiles;

/// Whether Winograd computes a 3x3 convolution with stride 1 and padding 1 of x into K channels, and the gradient of x, in less
/// time than direct sums.
bool winograd_pays(const Shape& x, std::int64_t K);

/// What is done to each output: activation(output + addend), or the backward of a ReLU.
struct WinogradEpilogue {
  Activation activation = {};
  const float* addend = nullptr;     // as y, and not y; null: none
  const float* relu_made = nullptr;  // in its place, as y: what the ReLU made of what these are gradients of
};

/// A 3x3 convolution with stride 1 and padding 1 by Winograd F(2x2,3x3), or the gradient of its input. Each tile of 2x2 outputs is
/// computed from its own inputs alone, directly where Winograd would not be exact enough. So results depend neither on other images
/// nor on the threads. It serves one thread at a time.
class WinogradConv {
 public:
  /// x: [N, C, H, W] -> y: [N, K, H, W]. `exchanged`: x is the gradient of the output, y that of the input, of weights [C, K, 3,
  /// 3].
  WinogradConv(const Shape& x, const Shape& y, bool exchanged);

  /// y = the epilogue of convolution + bias; `bias` may be null. False, with y as it was, if weights or bias are not finite or are
  /// so large that they overflow: the padding's products with infinities are NaN. Nor for weights that are not even.
  bool run(const Tensor& x, const Tensor& weight, const float* bias, const WinogradEpilogue& epilogue, Tensor& y);

 private:
  bool pack(const Tensor& weight, const float* bias, WinogradTiles& all);

  std::int64_t N_, C_, K_, H_, W_;
  bool exchanged_;
  bool keeps_taps_;      // in place of their transforms
  SeenValues seen_;      // the weights of the last call
  FilterRange range_;    // theirs
  bool packed_ = false;  // whether weights_ was made from them
  Tensor weights_;       // packed
  Tensor bias_, zeros_;
};

}  // namespace gpucnn::kernels::cpu
