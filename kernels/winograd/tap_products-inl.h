// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_TAP_PRODUCTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_TAP_PRODUCTS_INL_H
#undef GPUCNN_KERNELS_TAP_PRODUCTS_INL_H
#else
#define GPUCNN_KERNELS_TAP_PRODUCTS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/winograd/tile_products-inl.h>

// The products of few tiles. Reading the weights takes longest there, and taps are 9/16 of what their transforms are. So they are
// transformed in registers. The results have the bits of `winograd_products`.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// Input channels at a time, whose taps stay in the L1 cache for all 16 elements: 18 KiB.
constexpr std::int64_t kTapInputs = cpu::kVector;

/// Tiles of the micro-kernel. Their sums of four elements leave registers for a row of transformed taps.
constexpr int kTapTiles = kWide ? 4 : 2;

/// Up to how many tiles it pays: with shorter vectors, transforming takes longer than reading.
inline std::int64_t most_tap_tiles() { return kWide ? kTapTiles : 0; }

/// Fetches the next channels' taps. A core waits for few lines at once, and only the prefetcher behind its L2 cache for more. That
/// one wants lines in their order, so each input channel of each row of elements fetches the next few.
class NextTaps {
 public:
  /// For row `row` of the elements and vector v of the output channels.
  NextTaps(const float* taps, int row, int v) : next_(taps + kTapInputs * cpu::kInputTaps + (4 * v + row) * kTapInputs * kShare) {}

  HWY_INLINE void fetch() {
    constexpr std::int64_t kLine = 16;
#pragma GCC unroll 4
    for (std::int64_t at = 0; at < kShare; at += kLine) __builtin_prefetch(next_ + at);
    next_ += kShare;
  }

 private:
  static constexpr std::int64_t kShare = cpu::kInputTaps * kLanes / (4 * cpu::kPanel);
  const float* next_;
};

/// Row kRow of G g G^T, as `transform_taps` computes it.
template <int kRow>
HWY_INLINE void transform_tap_row(const float* taps, Vector (&row)[4]) {
  const Floats d;
  const Vector half = hn::Set(d, 0.5F);
  const auto tap = [&](int r, int s) HWY_ATTR { return hn::LoadU(d, taps + (3 * r + s) * cpu::kPanel); };
  const auto outer = [&](Vector g0, Vector g2) HWY_ATTR { return hn::Mul(half, hn::Add(g0, g2)); };
  Vector g[3];
#pragma GCC unroll 3
  for (int s = 0; s < 3; ++s) {
    if constexpr (kRow == 0 || kRow == 3) {
      g[s] = tap(kRow == 0 ? 0 : 2, s);
    } else {
      const Vector sum = outer(tap(0, s), tap(2, s)), inner = hn::Mul(half, tap(1, s));
      g[s] = kRow == 1 ? hn::Add(sum, inner) : hn::Sub(sum, inner);
    }
  }
  const Vector sum = outer(g[0], g[2]), inner = hn::Mul(half, g[1]);
  row[0] = g[0];
  row[1] = hn::Add(sum, inner);
  row[2] = hn::Sub(sum, inner);
  row[3] = g[2];
}

/// Micro-kernel: adds the products of `inputs` channels of kTapTiles tiles by a vector of output channels to the sums of four
/// elements, a row. They start from 0, or from `bias`, in the first block, which `is_first`.
template <int kRow>
HWY_INLINE void add_row_products(const float* HWY_RESTRICT patches, const float* HWY_RESTRICT taps, NextTaps next, bool is_first,
                                 const float* bias, std::int64_t inputs, float* HWY_RESTRICT to, std::int64_t element,
                                 std::int64_t tile) {
  constexpr std::int64_t kElement = cpu::GroupLayout::element();
  const Floats d;
  Vector sums[4][kTapTiles];
#pragma GCC unroll 4
  for (int e = 0; e < 4; ++e) {
    const Vector start = 4 * kRow + e == kBiasElement ? hn::LoadU(d, bias) : hn::Zero(d);
#pragma GCC unroll 4
    for (int p = 0; p < kTapTiles; ++p) sums[e][p] = is_first ? start : hn::LoadU(d, to + e * element + p * tile);
  }
  for (std::int64_t c = 0; c < inputs; ++c, taps += cpu::kInputTaps) {
    next.fetch();
    Vector w[4];
    transform_tap_row<kRow>(taps, w);
#pragma GCC unroll 4
    for (int e = 0; e < 4; ++e) {
#pragma GCC unroll 4
      for (int p = 0; p < kTapTiles; ++p) {
        sums[e][p] = hn::MulAdd(hn::Set(d, patches[e * kElement + p * cpu::kVector + c]), w[e], sums[e][p]);
      }
    }
  }
#pragma GCC unroll 4
  for (int e = 0; e < 4; ++e) {
#pragma GCC unroll 4
    for (int p = 0; p < kTapTiles; ++p) hn::StoreU(sums[e][p], d, to + e * element + p * tile);
  }
}

/// V vectors of output channels from k on, whose taps begin at `taps`, of tiles first to first + count - 1: a group at most.
template <int V>
void tap_channels(const cpu::WinogradTiles& all, const float* patches, std::int64_t first, std::int64_t count, const float* taps,
                  std::int64_t k, float* products) {
  using Layout = ProductLayout<V>;
  constexpr std::int64_t kRowPatches = 4 * cpu::GroupLayout::element(), kRowProducts = 4 * Layout::kElement;
  for (std::int64_t c = 0; c < all.C; c += kTapInputs, taps += kTapInputs * cpu::kInputTaps) {
    const std::int64_t inputs = std::min(kTapInputs, all.C - c);
    const float* const from = patches + c / cpu::kVector * cpu::GroupLayout::block();
    const auto add = [&]<int kRow>(int v) HWY_ATTR {
      for (std::int64_t p = 0; p < count; p += kTapTiles) {
        add_row_products<kRow>(from + kRow * kRowPatches + p * cpu::kVector, taps + v * kLanes, NextTaps(taps, kRow, v), c == 0,
                               all.bias + k + v * kLanes, inputs, products + kRow * kRowProducts + p * Layout::kTile + v * kLanes,
                               Layout::kElement, Layout::kTile);
      }
    };
    for (int v = 0; v < V; ++v) {
      add.template operator()<0>(v);
      add.template operator()<1>(v);
      add.template operator()<2>(v);
      add.template operator()<3>(v);
    }
  }
  finish_channels<V>(all, first, count, k, products);
}

/// As `winograd_products` of a panel, from its taps.
void tap_products(const cpu::WinogradTiles& all, const float* patches, std::int64_t first, std::int64_t count, const float* taps,
                  std::int64_t k, std::int64_t end, float* products) {
  for (; k + kLanes < end; k += 2 * kLanes, taps += 2 * kLanes) tap_channels<2>(all, patches, first, count, taps, k, products);
  if (k < end) tap_channels<1>(all, patches, first, count, taps, k, products);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
