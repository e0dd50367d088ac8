#pragma once

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/winograd5x5/tile_grid.h>

namespace gpucnn::kernels::cpu {

/// The gradients of weights and bias of a 5x5 convolution with a stride of 1, by the transposed Winograd F(2x2,3x3) of its window's
/// pieces: G^T [(A dy A^T) * (B^T x B), summed over all tiles] G. Tiles are split into shards by sizes only; sums have one order.
class Winograd5x5WeightGrad {
 public:
  /// x: [N, C, H, W], y: [N, K, Ho, Wo]; the padding before x.
  Winograd5x5WeightGrad(const Shape& x, const Shape& y, std::int64_t top, std::int64_t left) : grid_(x, y, top, left) {}

  /// dweight: [K, 5, 5, C]; dbias: [K], or null without a bias. Each is added to what is there if so asked. False, with both as
  /// they were, if x or dy is not finite or so large that products could overflow.
  bool run(const Tensor& x, const Tensor& dy, bool add_weights, float* dweight, bool add_bias, float* dbias) const;

 private:
  TileGrid grid_;
};

}  // namespace gpucnn::kernels::cpu
