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

// The backward pass over winners only: each pooled element sends its gradient to one of the four outputs of its window, whose 3x3
// input pixels are 3 runs of 3 C floats in the padded band. Vectors run along these runs ("spans"), in weights, x and dx alike.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// Fills `gradient` and `start`, adds to dbias. Lanes behind channel K are 0.
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
        const std::uint8_t* places = b.place + pixel * b.K + k;
        HWY_ALIGN float some_dy[kLanes];
        HWY_ALIGN std::uint8_t some_places[kLanes];
        if (count < kLanes) {
          std::fill_n(std::copy_n(dy, count, some_dy), kLanes - count, 0.0F);
          std::fill_n(std::copy_n(places, count, some_places), kLanes - count, std::uint8_t{0});
          dy = some_dy;
          places = some_places;
        }
        const auto place = hn::PromoteTo(integers, hn::LoadU(bytes, places));
        const auto ends = hn::RebindMask(d, hn::Eq(place, hn::Set(integers, 4)));
        const Vector gradient = hn::IfThenZeroElse(ends, hn::LoadU(d, dy));
        sum = hn::Add(sum, gradient);
        if (pixel % cpu::kSummed == cpu::kSummed - 1) total = hn::Add(total, std::exchange(sum, hn::Zero(d)));
        hn::Store(gradient, d, b.gradient + pixel * b.channels + k);
        const auto window = hn::Set(integers, static_cast<std::int32_t>(2 * i * row + 2 * j * b.C));
        const auto to_right = hn::IfThenElseZero(hn::TestBit(place, hn::Set(integers, 1)), right);
        const auto to_below = hn::IfThenElseZero(hn::TestBit(place, hn::Set(integers, 2)), down);
        hn::Store(hn::Add(window, hn::Add(to_right, to_below)), integers, b.start + pixel * b.channels + k);
      }
    }
    hn::Store(hn::Add(total, sum), d, b.dbias + k);
  }
}

/// The sums over pixels [first, last) of G channels' weights from k on, for V vectors of their spans from s on.
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
  constexpr int kGroup = (kWide ? 6 : 4) / V;  // so that sums are enough to hide how long one takes, and stay in registers
  const std::int64_t pixels = b.rows * b.columns;
  std::int64_t k = 0;
  for (; k + kGroup <= b.K; k += kGroup) {
    if (s == 0) cpu::ask(b.next, k / kGroup, b.K / kGroup);
    for (std::int64_t first = 0; first < pixels; first += cpu::kSummed) {
      add_weight_gradients<V, kGroup>(b, k, s, first, std::min(first + cpu::kSummed, pixels));
    }
  }
  for (; k < b.K; ++k) {
    for (std::int64_t first = 0; first < pixels; first += cpu::kSummed) {
      add_weight_gradients<V, 1>(b, k, s, first, std::min(first + cpu::kSummed, pixels));
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
