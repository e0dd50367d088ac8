// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_WEIGHT_GRAD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_WEIGHT_GRAD_INL_H
#undef GPUCNN_KERNELS_WEIGHT_GRAD_INL_H
#else
#define GPUCNN_KERNELS_WEIGHT_GRAD_INL_H
#endif

#include <algorithm>
#include <cstdint>
#include <utility>

#include <gpucnn/kernels/fused/bands.h>
#include <gpucnn/kernels/fused/pooled_conv.h>
#include <gpucnn/kernels/simd/vectors-inl.h>

// The gradients of weights and bias, from winners only. A pooled element sends its gradient to the one output of its window that
// won. The 3x3 input pixels of that output are 3 spans of 3 C contiguous floats in the padded band. Vectors lie along the spans, in
// weights, x and dx alike.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// Fills `gradient` and `start`, and adds to dbias. Lanes behind channel K are 0.
void find_gradients(const BackwardBand& b) {
  const Floats d;
  const hn::Rebind<std::int32_t, Floats> integers;
  const hn::Rebind<std::uint8_t, Floats> bytes;
  const std::int64_t row = cpu::padded_row(b.columns, b.C);
  const auto right = hn::Set(integers, static_cast<std::int32_t>(b.C)), down = hn::Set(integers, static_cast<std::int32_t>(row));
  for (std::int64_t k = 0; k < b.K; k += kLanes) {
    const std::int64_t count = std::min<std::int64_t>(kLanes, b.K - k);
    Vector total = hn::Load(d, b.dbias + k), sum = hn::Zero(d);
    for (std::int64_t i = 0, pixel = 0; i < b.rows; ++i) {
      for (std::int64_t j = 0; j < b.columns; ++j, ++pixel) {
        const float* dy = b.dy + i * b.dy_row + j * b.K + k;
        const std::uint8_t* argmax = b.argmax + pixel * b.K + k;
        HWY_ALIGN float some_dy[kLanes];
        HWY_ALIGN std::uint8_t some_argmax[kLanes];
        if (count < kLanes) {
          std::fill_n(std::copy_n(dy, count, some_dy), kLanes - count, 0.0F);
          std::fill_n(std::copy_n(argmax, count, some_argmax), kLanes - count, std::uint8_t{0});
          dy = some_dy;
          argmax = some_argmax;
        }
        const auto index = hn::PromoteTo(integers, hn::LoadU(bytes, argmax));
        const auto no_winner = hn::RebindMask(d, hn::Eq(index, hn::Set(integers, cpu::kNoWinner)));
        const Vector gradient = hn::IfThenZeroElse(no_winner, hn::LoadU(d, dy));
        sum = hn::Add(sum, gradient);
        if (pixel % cpu::kPartialTerms == cpu::kPartialTerms - 1) total = hn::Add(total, std::exchange(sum, hn::Zero(d)));
        hn::Store(gradient, d, b.gradient + pixel * b.channels + k);
        const auto window = hn::Set(integers, static_cast<std::int32_t>(2 * i * row + 2 * j * b.C));
        const auto to_right = hn::IfThenElseZero(hn::TestBit(index, hn::Set(integers, 1)), right);
        const auto to_below = hn::IfThenElseZero(hn::TestBit(index, hn::Set(integers, 2)), down);
        hn::Store(hn::Add(window, hn::Add(to_right, to_below)), integers, b.start + pixel * b.channels + k);
      }
    }
    hn::Store(hn::Add(total, sum), d, b.dbias + k);
  }
}

/// Adds the sums over pixels [first, last) for the weights of G output channels from k on: V vectors of their spans from s on.
template <int V, int G>
HWY_INLINE void add_weight_gradients(const BackwardBand& b, std::int64_t k, std::int64_t s, std::int64_t first, std::int64_t last) {
  const Floats d;
  const std::int64_t row = cpu::padded_row(b.columns, b.C);
  Vector sums[G][3][V];
#pragma GCC unroll 6
  for (int g = 0; g < G; ++g) {
#pragma GCC unroll 3
    for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) sums[g][r][v] = hn::Zero(d);
    }
  }
  const float* gradient = b.gradient + first * b.channels + k;
  const std::int32_t* start = b.start + first * b.channels + k;
  for (std::int64_t pixel = first; pixel < last; ++pixel, gradient += b.channels, start += b.channels) {
#pragma GCC unroll 6
    for (int g = 0; g < G; ++g) {
      const float* x = b.x + s + start[g];
      const Vector factor = hn::Set(d, gradient[g]);
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) sums[g][r][v] = hn::MulAdd(factor, hn::LoadU(d, x + r * row + v * kLanes), sums[g][r][v]);
      }
    }
  }
#pragma GCC unroll 6
  for (int g = 0; g < G; ++g) {
#pragma GCC unroll 3
    for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) {
        float* to = b.dweight + ((k + g) * 3 + r) * b.span + s + v * kLanes;
        hn::Store(hn::Add(hn::Load(d, to), sums[g][r][v]), d, to);
      }
    }
  }
}

template <int V>
HWY_INLINE void add_weight_gradients(const BackwardBand& b, std::int64_t s) {
  constexpr int kGroup = (kWide ? 6 : 4) / V;  // enough sums to hide the latency of one FMA, and no more than registers
  const std::int64_t pixels = b.rows * b.columns;
  std::int64_t k = 0;
  for (; k + kGroup <= b.K; k += kGroup) {
    if (s == 0) cpu::prefetch(b.next, k / kGroup, b.K / kGroup);
    for (std::int64_t first = 0; first < pixels; first += cpu::kPartialTerms) {
      add_weight_gradients<V, kGroup>(b, k, s, first, std::min(first + cpu::kPartialTerms, pixels));
    }
  }
  for (; k < b.K; ++k) {
    for (std::int64_t first = 0; first < pixels; first += cpu::kPartialTerms) {
      add_weight_gradients<V, 1>(b, k, s, first, std::min(first + cpu::kPartialTerms, pixels));
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
