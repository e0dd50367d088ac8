// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_DEPTHWISE_CHANNELS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_DEPTHWISE_CHANNELS_INL_H
#undef GPUCNN_KERNELS_DEPTHWISE_CHANNELS_INL_H
#else
#define GPUCNN_KERNELS_DEPTHWISE_CHANNELS_INL_H
#endif

#include <cstdint>

#include <gpucnn/kernels/simd/vectors-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// Outputs side by side whose sums stay in registers.
constexpr int kTile = kWide ? 6 : 4;

/// Calls `body(d, k)` for the channels [0, K): vectors from channel k on, then of four, then single ones.
template <class Body>
HWY_INLINE void for_channels(std::int64_t K, const Body& body) {
  const Floats vector;
  const hn::CappedTag<float, 4> four;
  const hn::CappedTag<float, 1> single;
  std::int64_t k = 0;
  for (; k + kLanes <= K; k += kLanes) body(vector, k);
  if constexpr (kLanes > 4) {
    for (; k + 4 <= K; k += 4) body(four, k);
  }
  for (; k < K; ++k) body(single, k);
}

/// A row of taps that is known when the kernel is compiled; 0 stands for any number. `ratio`: taps from one output to the next.
template <int taps, int ratio>
struct RowOfTaps {
  static constexpr int kTaps = taps, kRatio = ratio;
};

/// Calls `run` with the RowOfTaps that has these numbers, or with the one for any.
template <class Run>
HWY_INLINE void with_taps(std::int64_t taps, std::int64_t stride, std::int64_t step, const Run& run) {
  if (taps == 1 && stride == step) return run(RowOfTaps<1, 1>());
  if (taps == 2 && stride == step) return run(RowOfTaps<2, 1>());
  if (taps == 3 && stride == step) return run(RowOfTaps<3, 1>());
  if (taps == 3 && stride == 2 * step) return run(RowOfTaps<3, 2>());
  if (taps == 5 && stride == step) return run(RowOfTaps<5, 1>());
  if (taps == 5 && stride == 2 * step) return run(RowOfTaps<5, 2>());
  run(RowOfTaps<0, 0>());
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
