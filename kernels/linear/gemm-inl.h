// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_GEMM_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_GEMM_INL_H
#undef GPUCNN_KERNELS_GEMM_INL_H
#else
#define GPUCNN_KERNELS_GEMM_INL_H
#endif

#include <algorithm>
#include <cstdint>
#include <utility>

#include <gpucnn/kernels/activation/functors_cpu-inl.h>
#include <gpucnn/kernels/linear/gemm.h>
#include <gpucnn/kernels/simd/vectors-inl.h>

// GEMM micro-kernels: a tile of sums stays in registers. Each sum has one order of its terms, whatever the extents of the call.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

// The size of a tile follows from the number of registers: 24 sums in 32 with AVX-512, 12 in 16 elsewhere.
constexpr int kImages = kWide ? 4 : 2;
constexpr int kOutputs = 6;
constexpr int kRows = 6;
constexpr int kVectors = kWide ? 4 : 2;

#if HWY_TARGET == HWY_SCALAR
template <int kCount>
HWY_INLINE void sums_of_lanes(const Vector (&v)[kCount], float* to) {
  for (int i = 0; i < kCount; ++i) to[i] = hn::GetLane(v[i]);
}
#else
/// The sum of a vector's blocks of 4 lanes.
template <class D>
HWY_INLINE auto sum_of_blocks(D, hn::Vec<D> v) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return sum_of_blocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

/// The sums of the lanes of each vector, all added in the same order. `to` has room for a multiple of 4.
template <int kCount>
HWY_INLINE void sums_of_lanes(const Vector (&v)[kCount], float* to) {
  const Floats d;
  const hn::Repartition<std::uint64_t, Floats> pairs;
  const auto add_pairs = [&](int first) HWY_ATTR {
    const Vector a = first < kCount ? v[first] : hn::Zero(d), b = first + 1 < kCount ? v[first + 1] : hn::Zero(d);
    return hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
  };
#pragma GCC unroll 6
  for (int first = 0; first < kCount; first += 4) {
    const auto ab = add_pairs(first), cd = add_pairs(first + 2);
    const Vector blocks =
        hn::Add(hn::BitCast(d, hn::InterleaveLower(pairs, ab, cd)), hn::BitCast(d, hn::InterleaveUpper(pairs, ab, cd)));
    hn::StoreU(sum_of_blocks(d, blocks), hn::FixedTag<float, 4>(), to + first);
  }
}
#endif

/// sum + the products of x and weight in [first, last), one after the other. MulAdd is explicit: a compiler that contracts by its
/// own choice might contract in one tile and not in another.
HWY_INLINE float add_products(const float* x, const float* weight, std::int64_t first, std::int64_t last, float sum) {
  const hn::CappedTag<float, 1> d;
  auto added = hn::Set(d, sum);
  for (std::int64_t i = first; i < last; ++i) added = hn::MulAdd(hn::Set(d, x[i]), hn::Set(d, weight[i]), added);
  return hn::GetLane(added);
}

/// y[b] = epilogue(sums[b] + more[b]), for B outputs side by side.
template <int B, class Functor>
HWY_INLINE void finish_outputs(const float* sums, const float* more, const Functor& epilogue, float* y) {
  const hn::CappedTag<float, B> d;
  for (std::int64_t b = 0; b < B; b += static_cast<std::int64_t>(hn::Lanes(d))) {
    hn::StoreU(epilogue_forward(epilogue, d, hn::Add(hn::LoadU(d, sums + b), hn::LoadU(d, more + b))), d, y + b);
  }
}

/// What a tile fetches into the cache for later ones: a line of each of B rows of weight, again after `every` steps.
struct Ahead {
  const float* weight;
  std::int64_t every;  // 0: nothing
};

/// Terms [first, last) of a tile of A images and B outputs, from (n, o) on.
template <int A, int B>
HWY_INLINE void nt_tile(const GemmNT& p, std::int64_t n, std::int64_t o, std::int64_t first, std::int64_t last, Ahead ahead) {
  constexpr int kFours = B / 4 * 4, kRest = B - kFours;  // an image's outputs: four at a time, then those left
  const auto sum_index = [](int a, int b) { return b < kFours ? a * kFours + b : A * kFours + a * kRest + b - kFours; };
  const Floats d;
  const float* x = p.x + n * p.I;
  const float* weight = p.weight + o * p.I;
  Vector sums[A * B];
#pragma GCC unroll 24
  for (int e = 0; e < A * B; ++e) sums[e] = hn::Zero(d);
  std::int64_t i = first, fetch_at = ahead.every > 0 ? first : last;
  for (; i + kLanes <= last; i += kLanes) {
    if (i == fetch_at) {
      constexpr int kSecondLevel = 2;  // the L2 cache: rows of one length may lie in a single set of the L1
#pragma GCC unroll 6
      for (int b = 0; b < B; ++b) __builtin_prefetch(ahead.weight + b * p.I, 0, kSecondLevel);
      ahead.weight += kLanes;
      fetch_at += ahead.every * kLanes;
    }
    Vector xs[A];
#pragma GCC unroll 4
    for (int a = 0; a < A; ++a) xs[a] = hn::LoadU(d, x + a * p.I + i);
#pragma GCC unroll 6
    for (int b = 0; b < B; ++b) {
      const Vector w = hn::LoadU(d, weight + b * p.I + i);
#pragma GCC unroll 4
      for (int a = 0; a < A; ++a) sums[sum_index(a, b)] = hn::MulAdd(xs[a], w, sums[sum_index(a, b)]);
    }
  }
  HWY_ALIGN float products[(A * B + 3) / 4 * 4];
  sums_of_lanes(sums, products);
  if (i < last) {
    for (int a = 0; a < A; ++a) {
      for (int b = 0; b < B; ++b) {
        float& sum = products[sum_index(a, b)];
        sum = add_products(x + a * p.I, weight + b * p.I, i, last, sum);
      }
    }
  }
  static constexpr float kNone[B] = {};
  with_functor(last == p.I ? p.epilogue : Activation{}, [&](const auto& epilogue) HWY_ATTR {
#pragma GCC unroll 4
    for (int a = 0; a < A; ++a) {
      float* y = p.y + (n + a) * p.y_stride + o;
      const float* more = first > 0 ? y : p.bias ? p.bias + o : kNone;
      if constexpr (kFours > 0) finish_outputs<kFours>(products + sum_index(a, 0), more, epilogue, y);
      if constexpr (kRest > 0) finish_outputs<kRest>(products + sum_index(a, kFours), more + kFours, epilogue, y + kFours);
    }
  });
}

/// `images` images from n on with B outputs from o on.
template <int B>
HWY_INLINE void nt_columns(const GemmNT& p, std::int64_t n, std::int64_t images, std::int64_t o, std::int64_t first,
                           std::int64_t last) {
  // Each tile of images fetches a part of the next outputs' rows. A processor's own prefetchers end at a page.
  constexpr std::int64_t kMinTiles = 2;
  const std::int64_t end = n + images, tiles = images / kImages + images % kImages;
  Ahead ahead{p.weight + (o + B) * p.I + first, tiles >= kMinTiles && p.far ? tiles : 0};
  const std::int64_t part = (last - first) / kLanes / tiles * kLanes;
  for (; n + kImages <= end; n += kImages, ahead.weight += part) nt_tile<kImages, B>(p, n, o, first, last, ahead);
  for (; n < end; ++n, ahead.weight += part) nt_tile<1, B>(p, n, o, first, last, ahead);
}

void gemm_nt(const GemmNT& p) {
  // A tile's rows of weight stay in the first-level cache while all images pass; the images, in groups, stay in the second level.
  constexpr std::int64_t kGroup = 64;
  for (std::int64_t n = 0; n < p.N; n += kGroup) {
    const std::int64_t images = std::min(kGroup, p.N - n);
    for (std::int64_t first = 0; first < p.I; first += kTermsOfSum) {
      const std::int64_t last = std::min(first + kTermsOfSum, p.I);
      std::int64_t o = 0;
      for (; o + kOutputs <= p.O; o += kOutputs) nt_columns<kOutputs>(p, n, images, o, first, last);
      if (o + 4 <= p.O) nt_columns<4>(p, n, images, std::exchange(o, o + 4), first, last);
      if (o + 2 <= p.O) nt_columns<2>(p, n, images, std::exchange(o, o + 2), first, last);
      if (o < p.O) nt_columns<1>(p, n, images, o, first, last);
    }
  }
}

/// M rows from m on, V vectors from i on.
template <int M, int V, class D>
HWY_INLINE void gemm_tile(D d, const Gemm& p, std::int64_t m, std::int64_t i) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  hn::Vec<D> sums[M][V];
#pragma GCC unroll 6
  for (int r = 0; r < M; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
  }
  const float* a = p.a + m * p.a_stride_m;
  const float* b = p.b + i;
  for (std::int64_t t = 0; t < p.T; ++t, a += p.a_stride_t, b += p.b_stride) {
    hn::Vec<D> bs[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) bs[v] = hn::LoadU(d, b + v * lanes);
#pragma GCC unroll 6
    for (int r = 0; r < M; ++r) {
      const auto factor = hn::Set(d, a[r * p.a_stride_m]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(factor, bs[v], sums[r][v]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < M; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      float* c = p.c + (m + r) * p.c_stride + i + v * lanes;
      hn::StoreU(p.accumulate ? hn::Add(hn::LoadU(d, c), sums[r][v]) : sums[r][v], d, c);
    }
  }
}

template <int V, class D>
HWY_INLINE void gemm_columns(D d, const Gemm& p, std::int64_t i) {
  std::int64_t m = 0;
  for (; m + kRows <= p.M; m += kRows) gemm_tile<kRows, V>(d, p, m, i);
  if (m + 4 <= p.M) gemm_tile<4, V>(d, p, std::exchange(m, m + 4), i);
  if (m + 2 <= p.M) gemm_tile<2, V>(d, p, std::exchange(m, m + 2), i);
  if (m < p.M) gemm_tile<1, V>(d, p, m, i);
}

/// All rows of V vectors from i on. A block of b's rows stays in the first-level cache while all rows of c pass.
template <int V, class D>
HWY_INLINE void gemm_panel(D d, const Gemm& p, std::int64_t i) {
  constexpr std::int64_t kTerms = 128;
  for (std::int64_t t = 0; t < p.T; t += kTerms) {
    Gemm block = p;
    block.T = std::min(kTerms, p.T - t);
    block.a += t * p.a_stride_t;
    block.b += t * p.b_stride;
    block.accumulate = p.accumulate || t > 0;
    gemm_columns<V>(d, block, i);
  }
}

void gemm(const Gemm& p) {
  std::int64_t i = 0;
  for (; i + kVectors * kLanes <= p.I; i += kVectors * kLanes) gemm_panel<kVectors>(Floats(), p, i);
  for (; i + kLanes <= p.I; i += kLanes) gemm_panel<1>(Floats(), p, i);
  for (; i < p.I; ++i) gemm_panel<1>(hn::CappedTag<float, 1>(), p, i);
}

/// to[o] = the sum of the column over N rows, added to to[o] if `accumulate`. In double: the sums are as long as the batch.
void add_columns(const float* from, std::int64_t stride, std::int64_t N, std::int64_t count, bool accumulate, float* to) {
  const auto add = [=](auto d, std::int64_t o) HWY_ATTR {
    const hn::Rebind<float, decltype(d)> floats;
    auto sum = hn::Zero(d);
    for (std::int64_t n = 0; n < N; ++n) sum = hn::Add(sum, hn::PromoteTo(d, hn::LoadU(floats, from + n * stride + o)));
    if (accumulate) sum = hn::Add(sum, hn::PromoteTo(d, hn::LoadU(floats, to + o)));
    hn::StoreU(hn::DemoteTo(floats, sum), floats, to + o);
  };
  const hn::CappedTag<double, cpu::kVector> d;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t o = 0;
  for (; o + lanes <= count; o += lanes) add(d, o);
  for (; o < count; ++o) add(hn::CappedTag<double, 1>(), o);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
