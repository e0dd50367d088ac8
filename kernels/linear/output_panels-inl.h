// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_OUTPUT_PANELS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_OUTPUT_PANELS_INL_H
#undef GPUCNN_KERNELS_OUTPUT_PANELS_INL_H
#else
#define GPUCNN_KERNELS_OUTPUT_PANELS_INL_H
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include <gpucnn/kernels/activation/functors_cpu-inl.h>
#include <gpucnn/kernels/linear/output_panels.h>
#include <gpucnn/kernels/simd/transpose-inl.h>
#include <gpucnn/kernels/simd/vectors-inl.h>

// The product of `gemm_nt` with vectors of outputs, and with its bits. There a sum has a part for each lane, and the parts are
// added as a tree. Here the terms of one lane after the other are added up, in the order of the tree's leaves.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

// A tile's sums, and what is multiplied, fill the registers: 28 + 3 of 32 with AVX-512, 12 + 3 of 16 elsewhere.
constexpr int kTileVectors = 2;
constexpr int kTileImages = kWide ? 14 : 6, kMinTileImages = kTileImages / 2;
constexpr int kPanelOutputs = kTileVectors * kLanes;
constexpr int kImageWidth = (kTileImages + kLanes - 1) / kLanes * kLanes;

/// The number's two lowest bits exchanged.
constexpr int exchange_two_bits(int number) { return (number & 1) << 1 | number >> 1; }

/// Which leaf of the tree a lane is. Its own inverse.
constexpr int leaf_of(int lane) {
  if constexpr (kLanes == 1) {
    return lane;
  } else if constexpr (kLanes == 16) {
    return exchange_two_bits(lane / 4) * 4 + exchange_two_bits(lane % 4);
  } else {
    return lane / 4 * 4 + exchange_two_bits(lane % 4);
  }
}

PanelShape panel_shape() { return {kPanelOutputs, kTileImages, kImageWidth}; }

/// The distance of two leaves' terms where they are packed. A line more, or all leaves would lie in one set of a cache.
HWY_INLINE std::int64_t leaf_stride(std::int64_t steps, std::int64_t width) { return steps * width + kLeafPadding; }

/// Packs `terms` terms of up to `width` rows, a multiple of kLanes: to[leaf][step][row], then the terms left over. What stands for
/// rows that are not there is of no account.
void pack_terms(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t terms, std::int64_t width, float* to) {
  const std::int64_t steps = terms / kLanes, stride_of_leaves = leaf_stride(steps, width);
  for (std::int64_t first = 0; first < width; first += kLanes) {
    const float* row[kLanes];
    for (int r = 0; r < kLanes; ++r) row[r] = from + std::min(first + r, rows - 1) * stride;
    for (std::int64_t s = 0; s < steps; ++s) {
      Vector packed[kLanes];
      transpose_lanes(row, s * kLanes, packed);
#pragma GCC unroll 16
      for (int t = 0; t < kLanes; ++t) hn::StoreU(packed[t], Floats(), to + leaf_of(t) * stride_of_leaves + s * width + first);
    }
    float* rest = to + kLanes * stride_of_leaves + first;
    for (std::int64_t i = steps * kLanes; i < terms; ++i, rest += width) {
      for (int r = 0; r < kLanes; ++r) rest[r] = row[r][i];
    }
  }
}

/// Fetches what is to be read next: the floats of leaf q of `steps` terms of each of its rows.
HWY_INLINE void fetch_ahead(const PanelTile& p, std::int64_t q, std::int64_t steps) {
  constexpr std::int64_t kLine = 16;
  constexpr int kSecondLevel = 2;  // the L2 cache: the tile fills the L1
  for (std::int64_t r = 0; r < p.ahead.count; ++r) {
    const float* row = p.ahead.from + r * p.ahead.stride;
    for (std::int64_t i = q * steps; i < (q + 1) * steps; i += kLine) __builtin_prefetch(row + i, 0, kSecondLevel);
  }
}

/// sums[a][v] += the products of `places` places.
template <int A>
HWY_INLINE void add_places(const float* x, const float* weight, std::int64_t places, Vector (&sums)[A][kTileVectors]) {
  const Floats d;
  for (std::int64_t s = 0; s < places; ++s, x += kImageWidth, weight += kPanelOutputs) {
    const Vector w0 = hn::LoadU(d, weight), w1 = hn::LoadU(d, weight + kLanes);
#pragma GCC unroll 14
    for (int a = 0; a < A; ++a) {
      const Vector factor = hn::Set(d, x[a]);
      sums[a][0] = hn::MulAdd(factor, w0, sums[a][0]);
      sums[a][1] = hn::MulAdd(factor, w1, sums[a][1]);
    }
  }
}

/// The sums of a tile of A images and a panel's outputs, to products[a][kPanelOutputs].
template <int A>
HWY_NOINLINE void panel_tile(const PanelTile& p, float* products) {
  constexpr int kLevels = kLanes == 16 ? 4 : kLanes == 8 ? 3 : kLanes == 4 ? 2 : 0;
  const Floats d;
  const std::int64_t steps = p.terms / kLanes;
  HWY_ALIGN float kept[kLevels + 1][A][kPanelOutputs];  // the sum of each level's left subtree
  Vector sums[A][kTileVectors];
  for (int q = 0; q < kLanes; ++q) {
    fetch_ahead(p, q, steps);
#pragma GCC unroll 14
    for (int a = 0; a < A; ++a) sums[a][0] = sums[a][1] = hn::Zero(d);
    add_places<A>(p.x + q * leaf_stride(steps, kImageWidth), p.weight + q * leaf_stride(steps, kPanelOutputs), steps, sums);
    int level = 0;
    for (; (q >> level & 1) != 0; ++level) {
#pragma GCC unroll 14
      for (int a = 0; a < A; ++a) {
        sums[a][0] = hn::Add(hn::Load(d, kept[level][a]), sums[a][0]);
        sums[a][1] = hn::Add(hn::Load(d, kept[level][a] + kLanes), sums[a][1]);
      }
    }
    if (q == kLanes - 1) break;
#pragma GCC unroll 14
    for (int a = 0; a < A; ++a) {
      hn::Store(sums[a][0], d, kept[level][a]);
      hn::Store(sums[a][1], d, kept[level][a] + kLanes);
    }
  }
  add_places<A>(p.x + kLanes * leaf_stride(steps, kImageWidth), p.weight + kLanes * leaf_stride(steps, kPanelOutputs),
                p.terms - steps * kLanes, sums);
#pragma GCC unroll 14
  for (int a = 0; a < A; ++a) {
    hn::Store(sums[a][0], d, products + a * kPanelOutputs);
    hn::Store(sums[a][1], d, products + a * kPanelOutputs + kLanes);
  }
}

/// y = epilogue(products + more) for a tile; `more`: what is in y, or the bias, or nothing.
HWY_INLINE void finish_tile(const PanelTile& p, const float* products) {
  with_functor(p.epilogue, [&](const auto& epilogue) HWY_ATTR {
    for (std::int64_t a = 0; a < p.images; ++a, products += kPanelOutputs) {
      float* y = p.y + a * p.y_stride;
      const float* more = p.added ? y : p.bias;
      const auto finish = [&](auto d, std::int64_t o) HWY_ATTR {
        const auto sum = hn::LoadU(d, products + o);
        hn::StoreU(epilogue_forward(epilogue, d, more ? hn::Add(sum, hn::LoadU(d, more + o)) : hn::Add(sum, hn::Zero(d))), d,
                   y + o);
      };
      std::int64_t o = 0;
      for (; o + kLanes <= p.outputs; o += kLanes) finish(Floats(), o);
      for (; o < p.outputs; ++o) finish(hn::CappedTag<float, 1>(), o);
    }
  });
}

using PanelKernel = void (*)(const PanelTile&, float*);

template <int... kMore>
constexpr std::array<PanelKernel, sizeof...(kMore)> panel_kernels(std::integer_sequence<int, kMore...>) {
  return {&panel_tile<kMore + kMinTileImages>...};
}

void panel_product(const PanelTile& p) {
  static constexpr auto kKernels = panel_kernels(std::make_integer_sequence<int, kTileImages - kMinTileImages + 1>());
  HWY_ALIGN float products[kTileImages * kPanelOutputs];
  kKernels[static_cast<std::size_t>(std::max<std::int64_t>(p.images, kMinTileImages) - kMinTileImages)](p, products);
  finish_tile(p, products);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
