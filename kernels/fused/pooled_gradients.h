#pragma once

#include <gpucnn/kernels/cuda/slice_sums.h>
#include <gpucnn/kernels/fused/window_tile.h>

namespace gpucnn::kernels::cuda {

/// How the backward's work is divided among blocks, and how wide memory may be read and written.
struct BackwardPlan {
  PooledLayout layout;  // of dy
  int dweight_blocks, dx_blocks, tiles_per_slice;
  SliceSums count;
  bool wide_x, wide_dy, wide_dx;  // 16 bytes at once; of dx 4 channels, or on tensor cores 2
};

/// All that a block of the backward needs to know; T: of the activations. In .cu files only.
template <class T>
struct BackwardOperands {
  PooledSizes s;
  BackwardPlan plan;
  const T* x;
  const float* weight;
  const T* dy;
  const std::uint8_t* argmax;
  float* sums;
  T* dx;

  __device__ T dy_at(int n, int i, int j, int k) const {
    return dy[n * plan.layout.image + (std::int64_t{i} * s.Wo + j) * plan.layout.at_pixel + k * plan.layout.at_channel];
  }
  __device__ std::int64_t winner_at(int n, int i, int j, int k) const {
    return ((std::int64_t{n} * s.Ho + i) * s.Wo + j) * s.K + k;
  }

  /// Channels k to k + kWidth - 1 of the gradient of a convolution's output at the pixel (h, w), which a window has: dy where the
  /// pixel won, else 0.
  template <int kWidth>
  __device__ Lanes<T, kWidth> unpooled(int n, int h, int w, int k) const {
    const int position = h % 2 * 2 + w % 2;
    const std::int64_t at = winner_at(n, h / 2, w / 2, k);
    Lanes<T, kWidth> values{};
    if (plan.wide_dy && k + kWidth <= s.K) {  // dy is not flat
      const auto winners = load<kWidth>(argmax + at);
      values = load<kWidth>(dy + at);
      for (int e = 0; e < kWidth; ++e) {
        if (winners.at[e] != position) values.at[e] = T{};
      }
      return values;
    }
    for (int e = 0; e < kWidth && k + e < s.K; ++e) {
      if (argmax[at + e] == position) values.at[e] = dy_at(n, h / 2, w / 2, k + e);
    }
    return values;
  }
};

}  // namespace gpucnn::kernels::cuda
