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

/// A tile's sums fill most registers: 24 of 32 with AVX-512, 12 of 16 elsewhere. With more vectors of channels, fewer loads give as
/// many products; the other vectors' registers hold weights.
constexpr int kSums = kWide ? 24 : 12, kMaxVectors = kWide ? 4 : 2;

/// Terms whose packed weights stay in the first-level cache while all pixels pass.
constexpr std::int64_t kMaxTerms = 256;

/// Terms [0, length) of runs, the first of which begins at `skip`.
struct TermBlock {
  const cpu::Run* run;
  std::int64_t skip, length;
  bool is_first, is_last;
};

/// From the term that is multiplied to the one whose weights are fetched meanwhile.
constexpr std::int64_t kTermsAhead = 64;

/// sums[i][v] += the products of the block's terms. `kEven`: the pixels' first taps are evenly spaced. `kFetches`: weights may be
/// far away.
template <int P, int V, bool kEven, bool kFetches>
HWY_INLINE void add_products(const cpu::PixelProducts& p, std::int64_t pixel, const TermBlock& block,
                             const float* HWY_RESTRICT weights, Vector (&sums)[P][V]) {
  const Floats d;
  constexpr int kShare = kEven ? 4 : 1;                  // pixels that share a pointer
  const std::int64_t panel = p.terms * cpu::kGemmPanel;  // from a panel's weights to the next one's
  const auto weight_at = [=](int v) { return v * kLanes / cpu::kGemmPanel * panel + v * kLanes % cpu::kGemmPanel; };
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
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        w[v] = hn::LoadU(d, weights + weight_at(v) + t * cpu::kGemmPanel);
        if (kFetches) __builtin_prefetch(weights + weight_at(v) + (t + kTermsAhead) * cpu::kGemmPanel);
      }
#pragma GCC unroll 16
      for (int i = 0; i < P; ++i) {
        const Vector factor = hn::Set(d, x[i / kShare][i % kShare * step + t]);
#pragma GCC unroll 4
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
}

/// y = sums, or y += sums behind the first block. `in_last`: channels of the last vector.
template <int P, int V>
HWY_INLINE void write_tile(const cpu::PixelProducts& p, std::int64_t pixel, const TermBlock& block, std::int64_t k,
                           std::int64_t in_last, Vector (&sums)[P][V]) {
  const Floats d;
  if (!block.is_first) {
#pragma GCC unroll 16
    for (int i = 0; i < P; ++i) {
      const float* const y = p.y + p.y_at[pixel + i] + k;
#pragma GCC unroll 4
      for (int v = 0; v + 1 < V; ++v) sums[i][v] = hn::Add(hn::LoadU(d, y + v * kLanes), sums[i][v]);
      sums[i][V - 1] = hn::Add(load_some(y + (V - 1) * kLanes, in_last), sums[i][V - 1]);
    }
  }
  if (block.is_last && p.rectifies) {
#pragma GCC unroll 16
    for (int i = 0; i < P; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[i][v] = hn::IfThenZeroElse(hn::Lt(sums[i][v], hn::Zero(d)), sums[i][v]);
    }
  }
  if (block.is_last && p.relu_made) {
    const auto masked = [=](Vector sum, Vector made) HWY_ATTR { return hn::IfThenZeroElse(hn::Le(made, hn::Zero(d)), sum); };
#pragma GCC unroll 16
    for (int i = 0; i < P; ++i) {
      const float* const made = p.relu_made + p.y_at[pixel + i] + k;
#pragma GCC unroll 4
      for (int v = 0; v + 1 < V; ++v) sums[i][v] = masked(sums[i][v], hn::LoadU(d, made + v * kLanes));
      sums[i][V - 1] = masked(sums[i][V - 1], load_some(made + (V - 1) * kLanes, in_last));
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < P; ++i) {
    float* const y = p.y + p.y_at[pixel + i] + k;
#pragma GCC unroll 4
    for (int v = 0; v + 1 < V; ++v) hn::StoreU(sums[i][v], d, y + v * kLanes);
    store_some(sums[i][V - 1], in_last, y + (V - 1) * kLanes);
  }
}

/// So many tiles of P pixels by V vectors of channels, from `pixel` and k on. In one function, so that a tile begins quickly.
template <int P, int V, bool kEven, bool kFetches = false>
HWY_NOINLINE void multiply_tiles(const cpu::PixelProducts& p, std::int64_t pixel, std::int64_t tiles, const TermBlock& block,
                                 const float* weights, std::int64_t k) {
  const Floats d;
  const std::int64_t in_last = std::min<std::int64_t>(kLanes, p.last - k - (V - 1) * kLanes);
  for (const std::int64_t end = pixel + tiles * P; pixel < end; pixel += P) {
    Vector sums[P][V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Vector start = block.is_first ? hn::LoadU(d, p.bias + k + v * kLanes) : hn::Zero(d);
#pragma GCC unroll 16
      for (int i = 0; i < P; ++i) sums[i][v] = start;
    }
    if (block.is_last && p.relu_made && pixel + 2 * P <= end) {  // which the products do not read, and may lie in memory
#pragma GCC unroll 16
      for (int i = 0; i < P; ++i) {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) __builtin_prefetch(p.relu_made + p.y_at[pixel + P + i] + k + v * kLanes, 0, 2);
      }
    }
    add_products<P, V, kEven, kFetches>(p, pixel, block, weights, sums);
    write_tile<P, V>(p, pixel, block, k, in_last, sums);
  }
}

template <int V>
HWY_INLINE void multiply_block(const cpu::PixelProducts& p, const TermBlock& block, const float* weights, std::int64_t k) {
  constexpr int kPixels = V == 1 ? 8 : kSums / V, kEvenPixels = kWide ? 16 : 8;
  std::int64_t pixel = 0;
  const auto take = [&]<int P, bool kEven>(std::int64_t pixels) HWY_ATTR {
    const std::int64_t tiles = pixels / P;
    if (tiles > 0) multiply_tiles<P, V, kEven>(p, std::exchange(pixel, pixel + tiles * P), tiles, block, weights, k);
  };
  if constexpr (V == 1) {
    for (std::int64_t pixels; (pixels = p.pixels - pixel) >= kEvenPixels;) {
      const std::int64_t even = std::min(pixels, p.even[pixel]);
      if (even >= kEvenPixels) {
        take.template operator()<kEvenPixels, true>(even);
      } else {
        take.template operator()<kPixels, false>(kPixels);
      }
    }
  }
  if constexpr (V > 1) {
    if (const std::int64_t tiles = p.fetches ? p.pixels / kPixels : 0; tiles > 0) {
      multiply_tiles<kPixels, V, false, true>(p, std::exchange(pixel, tiles * kPixels), tiles, block, weights, k);
    }
  }
  take.template operator()<kPixels, false>(p.pixels - pixel);
  if constexpr (kPixels > 8) take.template operator()<8, false>(p.pixels - pixel);
  if constexpr (kPixels > 6 && V > 1) take.template operator()<6, false>(p.pixels - pixel);
  take.template operator()<4, false>(p.pixels - pixel);
  take.template operator()<2, false>(p.pixels - pixel);
  take.template operator()<1, false>(p.pixels - pixel);
}

/// All terms, for V vectors of channels from k on.
template <int V>
HWY_INLINE void multiply_channels(const cpu::PixelProducts& p, std::int64_t k) {
  const float* weights = p.weights + k / cpu::kGemmPanel * p.terms * cpu::kGemmPanel + k % cpu::kGemmPanel;
  TermBlock block{p.runs, 0, std::min(kMaxTerms, p.terms), true, p.terms <= kMaxTerms};
  for (std::int64_t term = 0;;) {
    multiply_block<V>(p, block, weights, k);
    term += block.length;
    if (term == p.terms) return;
    weights += block.length * cpu::kGemmPanel;
    for (block.skip += block.length; block.skip >= block.run->length; ++block.run) block.skip -= block.run->length;
    block.length = std::min(kMaxTerms, p.terms - term);
    block.is_first = false;
    block.is_last = term + block.length == p.terms;
  }
}

}  // namespace

void multiply_pixels(const cpu::PixelProducts& p) {
  std::int64_t k = p.first;
  const auto take = [&]<int V>() HWY_ATTR { multiply_channels<V>(p, std::exchange(k, k + V * kLanes)); };
  for (std::int64_t left; (left = (p.last - k + kLanes - 1) / kLanes) > 0;) {
    if constexpr (kMaxVectors == 4) {
      if (left == 4 || left > 5) {  // of five, two and then three
        take.template operator()<4>();
        continue;
      }
      if (left == 3) {
        take.template operator()<3>();
        continue;
      }
    }
    left > 1 ? take.template operator()<2>() : take.template operator()<1>();
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(multiply_pixels);

void cpu::multiply_pixels(const PixelProducts& p) { HWY_DYNAMIC_DISPATCH(multiply_pixels)(p); }

}  // namespace gpucnn::kernels
#endif
