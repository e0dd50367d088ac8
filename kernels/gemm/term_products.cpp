#include <gpucnn/kernels/gemm/term_products.h>

#include <algorithm>
#include <utility>

#include <gpucnn/kernels/gemm/gemm_panel.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/gemm/term_products.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/some_lanes-inl.h>

// Outer products: a term of x is multiplied by vectors of dy. A tile of sums stays in registers while the pixels pass.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {
namespace {

constexpr int kTileTerms = kWide ? 12 : 6;

/// P terms from `term` on, V vectors of outputs from k on. `kWhole`: there are as many outputs. With each pixel a line of `ahead`
/// is fetched: one at a time, since a core waits for few lines at once.
template <int P, int V, bool kWhole>
HWY_NOINLINE void multiply_term_tile(const cpu::TermProducts& p, std::int64_t term, std::int64_t k, const float* ahead) {
  constexpr std::int64_t kLine = 16;
  constexpr int kSecondLevel = 2;
  const Floats d;
  const std::int64_t count = p.outputs - k - (V - 1) * kLanes;  // in the last vector
  Vector sums[P][V];
#pragma GCC unroll 24
  for (int i = 0; i < P; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sums[i][v] = hn::Zero(d);
  }
  const float *const x = p.x + term, *const dy = p.dy + k;
  for (std::int64_t pixel = 0; pixel < p.pixels; ++pixel) {
    const float *const terms = x + p.x_at[pixel], *const outputs = dy + p.dy_at[pixel];
    if (ahead < p.ahead_end) __builtin_prefetch(std::exchange(ahead, ahead + kLine), 0, kSecondLevel);
    Vector g[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      g[v] = kWhole || v + 1 < V ? hn::LoadU(d, outputs + v * kLanes) : load_some(outputs + v * kLanes, count);
    }
#pragma GCC unroll 24
    for (int i = 0; i < P; ++i) {
      const Vector factor = hn::Set(d, terms[i]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sums[i][v] = hn::MulAdd(factor, g[v], sums[i][v]);
    }
  }
#pragma GCC unroll 24
  for (int i = 0; i < P; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      float* const to = p.sums + (term + i) * cpu::kGemmPanel + k + v * kLanes;
      hn::StoreU(p.adds ? hn::Add(hn::LoadU(d, to), sums[i][v]) : sums[i][v], d, to);
    }
  }
}

/// `count` terms, from 1 to P.
template <int P, int V, bool kWhole>
HWY_INLINE void multiply_some_terms(const cpu::TermProducts& p, std::int64_t term, std::int64_t count, std::int64_t k,
                                    const float* ahead) {
  if (count == P) return multiply_term_tile<P, V, kWhole>(p, term, k, ahead);
  if constexpr (P > 1) multiply_some_terms<P - 1, V, kWhole>(p, term, count, k, ahead);
}

/// All terms, in tiles of about the same size. With one vector of outputs large tiles come first, for they load less.
template <int V, bool kWhole>
HWY_INLINE void multiply_all_terms(const cpu::TermProducts& p, std::int64_t k) {
  constexpr std::int64_t kLarge = 2 * kTileTerms, kMinRest = kTileTerms / 2;
  std::int64_t done = 0;
  if constexpr (V == 1) {
    for (; p.terms - done == kLarge || p.terms - done >= kLarge + kMinRest; done += kLarge) {
      multiply_term_tile<kLarge, V, kWhole>(p, done, k, p.ahead + (p.ahead_end - p.ahead) * done / p.terms);
    }
  }
  const std::int64_t left = p.terms - done, tiles = (left + kTileTerms - 1) / kTileTerms;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    const std::int64_t first = done + tile * left / tiles, last = done + (tile + 1) * left / tiles;
    multiply_some_terms<kTileTerms, V, kWhole>(p, first, last - first, k, p.ahead + (p.ahead_end - p.ahead) * first / p.terms);
  }
}

}  // namespace

void multiply_terms(const cpu::TermProducts& p) {
  std::int64_t k = 0;
  for (; k + 2 * kLanes <= p.outputs; k += 2 * kLanes) multiply_all_terms<2, true>(p, k);
  if (k + kLanes < p.outputs) {
    multiply_all_terms<2, false>(p, k);
  } else if (k + kLanes == p.outputs) {
    multiply_all_terms<1, true>(p, k);
  } else if (k < p.outputs) {
    multiply_all_terms<1, false>(p, k);
  }
}

/// The gradients of V vectors of outputs; `count` in the last. Several sums, since additions to one wait for each other.
template <int V>
HWY_INLINE void add_vectors(const float* dy, const std::int64_t* dy_at, std::int64_t pixels, std::int64_t count, double* to) {
  constexpr int kParts = 4;
  const Floats d;
  Vector sums[kParts][V];
#pragma GCC unroll 4
  for (int i = 0; i < kParts; ++i) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sums[i][v] = hn::Zero(d);
  }
  const auto add_pixel = [&](std::int64_t pixel, Vector* part) HWY_ATTR {
    const float* const outputs = dy + dy_at[pixel];
#pragma GCC unroll 2
    for (int v = 0; v + 1 < V; ++v) part[v] = hn::Add(part[v], hn::LoadU(d, outputs + v * kLanes));
    part[V - 1] = hn::Add(part[V - 1], load_some(outputs + (V - 1) * kLanes, count));
  };
  std::int64_t pixel = 0;
  for (; pixel + kParts <= pixels; pixel += kParts) {
#pragma GCC unroll 4
    for (int i = 0; i < kParts; ++i) add_pixel(pixel + i, sums[i]);
  }
  for (; pixel < pixels; ++pixel) add_pixel(pixel, sums[0]);
  HWY_ALIGN float lanes[kParts][V * kLanes];
  for (int i = 0; i < kParts; ++i) {
    for (int v = 0; v < V; ++v) hn::Store(sums[i][v], d, lanes[i] + v * kLanes);
  }
  for (std::int64_t lane = 0; lane < (V - 1) * kLanes + count; ++lane) {
    for (int i = 0; i < kParts; ++i) to[lane] += static_cast<double>(lanes[i][lane]);
  }
}

void add_gradients(const float* dy, const std::int64_t* dy_at, std::int64_t pixels, std::int64_t outputs, double* sums) {
  std::int64_t k = 0;
  for (; k + kLanes < outputs; k += 2 * kLanes) {
    add_vectors<2>(dy + k, dy_at, pixels, std::min<std::int64_t>(kLanes, outputs - k - kLanes), sums + k);
  }
  if (k < outputs) add_vectors<1>(dy + k, dy_at, pixels, outputs - k, sums + k);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(multiply_terms);
HWY_EXPORT(add_gradients);

namespace cpu {

void multiply_terms(const TermProducts& p) { HWY_DYNAMIC_DISPATCH(multiply_terms)(p); }

void add_gradients(const float* dy, const std::int64_t* dy_at, std::int64_t pixels, std::int64_t outputs, double* sums) {
  HWY_DYNAMIC_DISPATCH(add_gradients)(dy, dy_at, pixels, outputs, sums);
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
