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
  bool wide_winners;              // as many at once as of dy
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

/// The same number, of which the compiler must not know it. What follows from it is computed where it stands, which may take less
/// than registers that would keep it through a loop.
__device__ inline int computed_anew(int value) {
  asm volatile("" : "+r"(value));
  return value;
}

/// A block's part of the weight's gradient: kOutputs x kInputs channels, and the tiles of a slice from `first` to before `last`.
template <int kOutputs, int kInputs>
struct DweightSlice {
  int k_first, c_first, slice, first, last;

  template <class T>
  __device__ static DweightSlice of(const BackwardOperands<T>& o, int block) {
    const int k_blocks = (o.s.K + kOutputs - 1) / kOutputs, c_blocks = (o.s.C + kInputs - 1) / kInputs;
    const int slice = block / k_blocks / c_blocks, first = slice * o.plan.tiles_per_slice;
    return {block % k_blocks * kOutputs, block / k_blocks % c_blocks * kInputs, slice, first,
            std::min(first + o.plan.tiles_per_slice, WindowTiles::of(o.s.Ho, o.s.Wo).count(o.s.N))};
  }

  template <class T>
  __device__ float* sums(const BackwardOperands<T>& o) const {
    return o.sums + std::int64_t{slice} * o.plan.count.all;
  }
  template <class T>
  __device__ bool wants_bias(const BackwardOperands<T>& o) const {
    return c_first == 0 && o.plan.count.all > o.plan.count.weights;
  }

  /// Writes gradients[kOutputs][9][kInputs].
  template <class T>
  __device__ void write_weights(const BackwardOperands<T>& o, const float* gradients) const {
    float* const to = sums(o);
    GPUCNN_NO_UNROLL
    for (int e = computed_anew(static_cast<int>(threadIdx.x)); e < kOutputs * 9 * kInputs; e += kTileThreads) {
      const int c = c_first + e % kInputs, tap = e / kInputs % 9, k = k_first + e / (9 * kInputs);
      if (c < o.s.C && k < o.s.K) to[(std::int64_t{k} * 9 + tap) * o.s.C + c] = gradients[e];
    }
  }
  /// Writes the bias's gradient, of which parts[kParts][kOutputs] are added in their order.
  template <int kParts, class T>
  __device__ void write_bias(const BackwardOperands<T>& o, const float* parts) const {
    const int output = computed_anew(static_cast<int>(threadIdx.x));
    if (output >= kOutputs || k_first + output >= o.s.K) return;
    float sum = 0;
    for (int part = 0; part < kParts; ++part) sum += parts[part * kOutputs + output];
    sums(o)[o.plan.count.weights + k_first + output] = sum;
  }
};

}  // namespace gpucnn::kernels::cuda
