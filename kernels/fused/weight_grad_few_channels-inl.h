// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_WEIGHT_GRAD_FEW_CHANNELS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_WEIGHT_GRAD_FEW_CHANNELS_INL_H
#undef GPUCNN_KERNELS_WEIGHT_GRAD_FEW_CHANNELS_INL_H
#else
#define GPUCNN_KERNELS_WEIGHT_GRAD_FEW_CHANNELS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/fused/bands.h>
#include <gpucnn/kernels/fused/pooled_conv.h>
#include <gpucnn/kernels/simd/vectors-inl.h>

// The gradients of weights and bias for up to 3 input channels, with AVX-512. Vectors along the taps would be half empty, so lanes
// are 16 output channels here. A row of the 4x4 input patch fits one vector. One permutation gives each lane the pixel that a tap
// reads, whatever the lane's argmax is.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

#if HWY_TARGET <= HWY_AVX3

/// The elements with these indices in two concatenated vectors; Highway 1.0.3 has no such lookup.
HWY_INLINE Vector look_up(Vector first, Vector second, hn::Vec<hn::Rebind<std::int32_t, Floats>> indices) {
  return Vector{_mm512_permutex2var_ps(first.raw, indices.raw, second.raw)};
}

/// Adds the first `count` lanes of the sums to `to`: [lanes][3][span].
template <int kTaps>
HWY_INLINE void add_lanes(const Vector (&sums)[3][kTaps], std::int64_t count, float* to, std::int64_t span) {
  const Floats d;
  HWY_ALIGN float lanes[3][kTaps][kLanes];
#pragma GCC unroll 3
  for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 9
    for (int t = 0; t < kTaps; ++t) hn::Store(sums[r][t], d, lanes[r][t]);
  }
  for (std::int64_t lane = 0; lane < count; ++lane) {
    for (std::int64_t r = 0; r < 3; ++r, to += span) {
      for (std::int64_t t = 0; t < kTaps; ++t) to[t] += lanes[r][t][lane];
    }
  }
}

/// Adds the gradients of kLanes output channels from k on, of `count` that there are, to dweight and dbias.
template <int C>
HWY_INLINE void add_vector_of_channels(const BackwardBand& b, std::int64_t k, std::int64_t count) {
  constexpr int kTaps = 3 * C;  // of a row
  const Floats d;
  const hn::Rebind<std::int32_t, Floats> integers;
  const hn::Rebind<std::uint8_t, Floats> bytes;
  const std::int64_t row = cpu::padded_row(b.columns, C), pixels = b.rows * b.columns;
  HWY_ALIGN static constexpr std::int32_t kStarts[kLanes] = {0, C, kLanes,
                                                             kLanes + C};  // the patch offset of each argmax; 0 for kNoWinner
  const auto starts = hn::Load(integers, kStarts);
  const auto some = hn::FirstN(d, static_cast<std::size_t>(count));
  const auto some_bytes = hn::FirstN(bytes, static_cast<std::size_t>(count));
  std::int64_t i = 0, j = 0;
  for (std::int64_t first = 0; first < pixels; first += cpu::kPartialTerms) {
    Vector sums[3][kTaps], sum = hn::Zero(d);
#pragma GCC unroll 3
    for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 9
      for (int t = 0; t < kTaps; ++t) sums[r][t] = hn::Zero(d);
    }
    const std::int64_t last = std::min(first + cpu::kPartialTerms, pixels);
    for (std::int64_t pixel = first; pixel < last; ++pixel) {
      const auto argmax = hn::PromoteTo(integers, hn::MaskedLoad(some_bytes, bytes, b.argmax + pixel * b.K + k));
      const Vector dy = hn::MaskedLoad(some, d, b.dy + i * b.dy_row + j * b.K + k);
      const Vector gradient = hn::IfThenZeroElse(hn::RebindMask(d, hn::Eq(argmax, hn::Set(integers, cpu::kNoWinner))), dy);
      sum = hn::Add(sum, gradient);
      auto index = hn::TableLookupLanes(starts, hn::IndicesFromVec(integers, argmax));
      const float* x = b.x + 2 * i * row + 2 * j * C;
      Vector xs[4];
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) xs[r] = hn::LoadU(d, x + r * row);
#pragma GCC unroll 9
      for (int t = 0; t < kTaps; ++t) {
#pragma GCC unroll 3
        for (int r = 0; r < 3; ++r) sums[r][t] = hn::MulAdd(gradient, look_up(xs[r], xs[r + 1], index), sums[r][t]);
        index = hn::Add(index, hn::Set(integers, 1));
      }
      if (++j < b.columns) continue;
      j = 0;
      if (k == 0) cpu::prefetch(b.next, i, b.rows);
      ++i;
    }
    add_lanes(sums, count, b.dweight + k * 3 * b.span, b.span);
    hn::Store(hn::Add(hn::Load(d, b.dbias + k), sum), d, b.dbias + k);
  }
}

template <int C>
void add_all_channels(const BackwardBand& b) {
  for (std::int64_t k = 0; k < b.K; k += kLanes) add_vector_of_channels<C>(b, k, std::min<std::int64_t>(kLanes, b.K - k));
}

#endif

/// Adds the band's gradients of weights and bias, and returns true, if lanes can be channels.
HWY_INLINE bool add_few_channels_gradients(const BackwardBand& b) {
#if HWY_TARGET <= HWY_AVX3
  if (b.C > 3) return false;
  if (b.C == 1) add_all_channels<1>(b);
  if (b.C == 2) add_all_channels<2>(b);
  if (b.C == 3) add_all_channels<3>(b);
  return true;
#else
  (void)b;
  return false;
#endif
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
