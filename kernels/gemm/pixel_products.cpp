#include <gpucnn/kernels/gemm/pixel_products.h>

#include <algorithm>
#include <utility>

#include <gpucnn/kernels/gemm/gemm_panel.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/gemm/pixel_products.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/some_lanes-inl.h>

// Implicit GEMM: the rows of one factor are pixels' windows, read where they lie; the other factor is packed weights. A tile of
// sums stays in registers.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {
namespace {

/// Pixels of a tile: each has a pointer in a register. Of evenly spaced ones four share a pointer.
constexpr int kTilePixels = kWide ? 8 : 4;
constexpr int kEvenPixels = kWide ? 16 : 8;

/// Terms whose packed weights stay in the first-level cache while all pixels pass.
constexpr std::int64_t kMaxTerms = 256;

/// Terms [0, length) of runs, the first of which begins at `skip`.
struct TermBlock {
  const cpu::Run* run;
  std::int64_t skip, length;
  bool is_first;
};

/// P pixels by V vectors of channels from k on: y = bias + sums for the first block, y += sums for others. `kEven`: the pixels'
/// first taps are evenly spaced.
template <int P, int V, bool kEven>
HWY_NOINLINE void multiply_tile(const cpu::PixelProducts& p, std::int64_t pixel, const TermBlock& block,
                                const float* HWY_RESTRICT weights, std::int64_t k) {
  const Floats d;
  Vector sums[P][V];
#pragma GCC unroll 16
  for (int i = 0; i < P; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sums[i][v] = hn::Zero(d);
  }
  constexpr int kShare = kEven ? 4 : 1;  // pixels that share a pointer
  const std::int64_t step = kEven ? p.x_at[pixel + 1] - p.x_at[pixel] : 0;
  const cpu::Run* run = block.run;
  std::int64_t skip = block.skip;
  for (std::int64_t left = block.length; left > 0; ++run, skip = 0) {
    const std::int64_t count = std::min(left, run->length - skip);
    const float* x[P / kShare];
#pragma GCC unroll 16
    for (int i = 0; i < P / kShare; ++i) x[i] = p.x + p.x_at[pixel + i * kShare] + run->offset + skip;
    const auto add_term = [&](std::int64_t t) HWY_ATTR {
      Vector w[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) w[v] = hn::LoadU(d, weights + t * cpu::kGemmPanel + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < P; ++i) {
        const Vector factor = hn::Set(d, x[i / kShare][i % kShare * step + t]);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sums[i][v] = hn::MulAdd(factor, w[v], sums[i][v]);
      }
    };
    const auto advance = [&](std::int64_t terms) {
      weights += terms * cpu::kGemmPanel;
#pragma GCC unroll 16
      for (int i = 0; i < P / kShare; ++i) x[i] += terms;
    };
    constexpr std::int64_t kUnrolled = V == 1 ? 1 : 4;
    std::int64_t t = 0;
    for (; t + kUnrolled <= count; t += kUnrolled, advance(kUnrolled)) {
#pragma GCC unroll 4
      for (std::int64_t u = 0; u < kUnrolled; ++u) add_term(u);
    }
    for (; t < count; ++t, advance(1)) add_term(0);
    left -= count;
  }
  const std::int64_t whole = std::min<std::int64_t>(V, (p.last - k) / kLanes);
#pragma GCC unroll 16
  for (int i = 0; i < P; ++i) {
    float* const y = p.y + p.y_at[pixel + i] + k;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      float* const to = y + v * kLanes;
      if (HWY_LIKELY(v < whole)) {
        hn::StoreU(hn::Add(hn::LoadU(d, block.is_first ? p.bias + k + v * kLanes : to), sums[i][v]), d, to);
      } else {
        const std::int64_t count = std::max<std::int64_t>(0, p.last - k - v * kLanes);
        const Vector before = block.is_first ? hn::LoadU(d, p.bias + k + v * kLanes) : load_some(to, count);
        store_some(hn::Add(before, sums[i][v]), count, to);
      }
    }
  }
}

template <int V>
HWY_INLINE void multiply_block(const cpu::PixelProducts& p, const TermBlock& block, const float* weights, std::int64_t k) {
  for (std::int64_t pixel = 0; pixel < p.pixels;) {
    const std::int64_t left = p.pixels - pixel;
    if (V == 1 && left >= kEvenPixels && p.even[pixel] >= kEvenPixels) {
      multiply_tile<kEvenPixels, V, true>(p, std::exchange(pixel, pixel + kEvenPixels), block, weights, k);
    } else if (left >= kTilePixels) {
      multiply_tile<kTilePixels, V, false>(p, std::exchange(pixel, pixel + kTilePixels), block, weights, k);
    } else if (left >= 2) {
      multiply_tile<2, V, false>(p, std::exchange(pixel, pixel + 2), block, weights, k);
    } else {
      multiply_tile<1, V, false>(p, std::exchange(pixel, pixel + 1), block, weights, k);
    }
  }
}

/// All terms, for V vectors of channels from k on.
template <int V>
HWY_INLINE void multiply_channels(const cpu::PixelProducts& p, std::int64_t k) {
  const float* weights = p.weights + k / cpu::kGemmPanel * p.terms * cpu::kGemmPanel + k % cpu::kGemmPanel;
  TermBlock block{p.runs, 0, std::min(kMaxTerms, p.terms), true};
  for (std::int64_t term = 0;;) {
    multiply_block<V>(p, block, weights, k);
    term += block.length;
    if (term == p.terms) return;
    weights += block.length * cpu::kGemmPanel;
    for (block.skip += block.length; block.skip >= block.run->length; ++block.run) block.skip -= block.run->length;
    block.length = std::min(kMaxTerms, p.terms - term);
    block.is_first = false;
  }
}

}  // namespace

void multiply_pixels(const cpu::PixelProducts& p) {
  std::int64_t k = p.first;
  for (; k + kLanes < p.last; k += 2 * kLanes) multiply_channels<2>(p, k);
  if (k < p.last) multiply_channels<1>(p, k);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(multiply_pixels);

void cpu::multiply_pixels(const PixelProducts& p) { HWY_DYNAMIC_DISPATCH(multiply_pixels)(p); }

}  // namespace gpucnn::kernels
#endif
