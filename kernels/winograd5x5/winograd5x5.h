#pragma once

#include <gpucnn/core/shape.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/common/seen_values.h>
#include <gpucnn/kernels/winograd/filter_range.h>
#include <gpucnn/kernels/winograd5x5/tile_grid.h>

namespace gpucnn::kernels::cpu {

/// Whether Winograd computes a 5x5 convolution of x into y with a stride of 1 in less time than direct sums. That of the gradient
/// of x is one of y into x.
bool winograd5x5_pays(const Shape& x, const Shape& y);

/// A 5x5 convolution with a stride of 1 by Winograd F(2x2,3x3) of its window's pieces, or the gradient of its input. Results do
/// not depend on the threads, nor on other images as long as `run` serves them. It serves one thread at a time.
class Winograd5x5 {
 public:
  /// x: [N, C, H, W] -> y: [N, K, Ho, Wo] with this padding before x, fewer than 5. `exchanged`: x is the gradient of the output, y
  /// that of the input, of weights [C, K, 5, 5]; the padding is 4 less the convolution's.
  Winograd5x5(const Shape& x, const Shape& y, std::int64_t top, std::int64_t left, bool exchanged)
      : grid_(x, y, top, left), exchanged_(exchanged) {}

  /// y = epilogue(convolution + bias); `bias` may be null. False, with y not to be used, if x, weights or bias are not finite or so
  /// large that products could overflow.
  bool run(const Tensor& x, const Tensor& weight, const float* bias, const Activation& epilogue, Tensor& y);

 private:
  bool pack(const Tensor& weight, const float* bias);

  TileGrid grid_;
  bool exchanged_;
  FilterRange range_;  // of the weights of the last call
  SeenValues seen_;    // the weights that packed_ was made from
  Tensor packed_;      // [panels][kProducts][C][kGemmPanel]
  Tensor bias_;        // [panels][kGemmPanel]
  Tensor zeros_;       // a row of the padding, and a panel's bias of other elements
};

}  // namespace gpucnn::kernels::cpu
