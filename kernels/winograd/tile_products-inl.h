// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_TILE_PRODUCTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_TILE_PRODUCTS_INL_H
#undef GPUCNN_KERNELS_TILE_PRODUCTS_INL_H
#else
#define GPUCNN_KERNELS_TILE_PRODUCTS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/winograd/output_transforms-inl.h>
#include <gpucnn/kernels/winograd/patch_transforms-inl.h>
#include <gpucnn/kernels/winograd/winograd_tiles.h>

// The products of Winograd's tiles as 16 GEMMs, and tiles computed directly.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// The element of a patch that is added to all four outputs, so that its products start from the bias.
constexpr std::int64_t kBiasElement = 5;

/// Tiles of the micro-kernel. With two vectors of output channels their sums fill the registers.
constexpr std::int64_t kTileRows = kWide ? 12 : 6;

/// From the weights that are multiplied to those that are fetched meanwhile. These may come from memory, which takes longer than
/// what a core foresees by itself.
constexpr std::int64_t kFetchedAhead = 64 * cpu::kPanel;

/// Micro-kernel: P tiles by V vectors of output channels, for one element. The sums start from `bias` unless it is null.
/// `kFetches`: these tiles are the first that read the weights.
template <int P, int V, bool kFetches>
HWY_INLINE void multiply_tiles(const float* HWY_RESTRICT patches, const float* HWY_RESTRICT weights, const float* bias,
                               std::int64_t C, float* HWY_RESTRICT to) {
  const Floats d;
  Vector sums[P][V];
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    const Vector first = bias ? hn::LoadU(d, bias + v * kLanes) : hn::Zero(d);
#pragma GCC unroll 12
    for (int p = 0; p < P; ++p) sums[p][v] = first;
  }
  for (std::int64_t from = 0; from < C; from += cpu::kVector, patches += cpu::GroupLayout::block()) {
    const std::int64_t count = std::min(cpu::kVector, C - from);
    for (std::int64_t c = 0; c < count; ++c, weights += cpu::kPanel) {
      Vector w[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        w[v] = hn::LoadU(d, weights + v * kLanes);
        if (kFetches) __builtin_prefetch(weights + kFetchedAhead + v * kLanes);
      }
#pragma GCC unroll 12
      for (int p = 0; p < P; ++p) {
        const Vector x = hn::Set(d, patches[p * cpu::kVector + c]);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sums[p][v] = hn::MulAdd(x, w[v], sums[p][v]);
      }
    }
  }
#pragma GCC unroll 12
  for (int p = 0; p < P; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) hn::StoreU(sums[p][v], d, to + (p * V + v) * kLanes);
  }
}

/// One element of `count` tiles of a group.
template <int V, bool kFetches>
HWY_INLINE void multiply_element(const float* patches, const float* weights, const float* bias, std::int64_t C, std::int64_t count,
                                 float* to) {
  constexpr int kAll = kTileRows, kThird = kAll / 3;
  for (std::int64_t p = 0; p < count; p += kAll, patches += kAll * cpu::kVector, to += kAll * V * kLanes) {
    if (count - p > 2 * kThird) {
      multiply_tiles<kAll, V, kFetches>(patches, weights, bias, C, to);
    } else if (count - p > kThird) {
      multiply_tiles<2 * kThird, V, kFetches>(patches, weights, bias, C, to);
    } else {
      multiply_tiles<kThird, V, kFetches>(patches, weights, bias, C, to);
    }
  }
}

/// Calls `body(at, p, length)` for tiles first + p to first + p + length - 1, which lie side by side in one group. So it goes on
/// until all `count` are done.
template <class Body>
HWY_INLINE void for_rows(const cpu::WinogradTiles& all, std::int64_t first, std::int64_t count, const Body& body) {
  for (std::int64_t p = 0, length; p < count; p += length) {
    const cpu::TilePlace at(all, first + p);
    length = std::min({count - p, all.columns() - at.j / 2, cpu::kTileGroup - p % cpu::kTileGroup});
    body(at, p, length);
  }
}

/// How the products of V vectors of output channels lie: floats from a tile to the next, and from an element.
template <int V>
struct ProductLayout {
  static constexpr std::int64_t kTile = V * kLanes, kElement = cpu::kTileGroup * kTile + cpu::kVector, kGroup = 16 * kElement;
};

/// The outputs of V vectors of channels from k on.
template <int V>
HWY_INLINE void finish_channels(const cpu::WinogradTiles& all, std::int64_t first, std::int64_t count, std::int64_t k,
                                const float* products) {
  using Layout = ProductLayout<V>;
  with_epilogue(all, [&](const auto& epilogue) HWY_ATTR {
    for_rows(all, first, count, [&](const cpu::TilePlace& at, std::int64_t p, std::int64_t length) HWY_ATTR {
      const float* const from = products + p / cpu::kTileGroup * Layout::kGroup + p % cpu::kTileGroup * Layout::kTile;
      for (int v = 0; v < V && k + v * kLanes < all.K; ++v) {
        finish_row(from + v * kLanes, Layout::kTile, Layout::kElement, all, at, length, k + v * kLanes, all.K - k - v * kLanes,
                   epilogue);
      }
    });
  });
}

/// V vectors of output channels from k on, whose weights begin at `weights`, of tiles first to first + count - 1.
template <int V, bool kFetches>
HWY_NOINLINE void winograd_channels(const cpu::WinogradTiles& all, const float* patches, std::int64_t first, std::int64_t count,
                                    const float* weights, std::int64_t k, float* products) {
  using cpu::kTileGroup;
  using Layout = ProductLayout<V>;
  const std::int64_t tap = cpu::tap_size(all.C), group = cpu::GroupLayout::group(all.C);
  for (std::int64_t e = 0; e < 16; ++e) {
    const float* const bias = e == kBiasElement ? all.bias + k : nullptr;
    for (std::int64_t p = 0; p < count; p += kTileGroup) {
      multiply_element<V, kFetches>(patches + p / kTileGroup * group + e * cpu::GroupLayout::element(), weights + e * tap, bias,
                                    all.C, std::min(kTileGroup, count - p),
                                    products + p / kTileGroup * Layout::kGroup + e * Layout::kElement);
    }
  }
  finish_channels<V>(all, first, count, k, products);
}

/// The patches of tiles first to first + count - 1, and for each whether it must be computed directly.
void winograd_patches(const cpu::WinogradTiles& all, float* patches, std::int64_t first, std::int64_t count, std::uint8_t* direct) {
  const std::int64_t group = cpu::GroupLayout::group(all.C);
  for_rows(all, first, count, [&](const cpu::TilePlace& at, std::int64_t p, std::int64_t length) HWY_ATTR {
    float* const to = patches + p / cpu::kTileGroup * group + p % cpu::kTileGroup * cpu::GroupLayout::tile();
    transform_row(patch_rows(all, at), at.j - 1, length, all.max_energy, to, cpu::GroupLayout(), direct + p);
  });
}

/// Tiles first to first + count - 1 of output channels k to end - 1. k is a multiple of kPanel, and `weights` are those of its
/// panel.
void winograd_products(const cpu::WinogradTiles& all, const float* patches, std::int64_t first, std::int64_t count,
                       const float* weights, std::int64_t k, std::int64_t end, float* products) {
  const std::int64_t panel = 16 * cpu::tap_size(all.C), begin = k;
  const auto at = [=](std::int64_t channel) {
    return weights + (channel - begin) / cpu::kPanel * panel + (channel - begin) % cpu::kPanel;
  };
  const auto multiply = [&]<int V>(std::int64_t channel) HWY_ATTR {
    const bool fetches = 2 * all.tiles() <= all.K;  // with more tiles, weights are few, and wait in the cache
    const auto run = fetches ? winograd_channels<V, true> : winograd_channels<V, false>;
    run(all, patches, first, count, at(channel), channel, products);
  };
  for (; k + kLanes < end; k += 2 * kLanes) multiply.template operator()<2>(k);
  if (k < end) multiply.template operator()<1>(k);
}

/// A tile by direct sums, one for each tap, without the epilogue. The padding's zeros are multiplied, too.
void direct_tile(const cpu::WinogradTiles& all, std::int64_t tile) {
  const Floats d;
  const cpu::TilePlace at(all, tile);
  for (int o = 0; o < 4; ++o) {
    const std::int64_t i = at.i + o / 2, j = at.j + o % 2;
    if (i >= all.H || j >= all.W) continue;
    for (std::int64_t k = 0; k < all.K; k += kLanes) {
      Vector sum = hn::LoadU(d, all.bias + k);
      const float* weights = all.taps + k / cpu::kPanel * 9 * cpu::tap_size(all.C) + k % cpu::kPanel;
      for (std::int64_t tap = 0; tap < 9; ++tap, weights += cpu::kPanel) {
        const float* const x = all.pixel(at.n, i + tap / 3 - 1, j + tap % 3 - 1);
        Vector part = hn::Zero(d);
        for (std::int64_t c = 0; c < all.C; ++c)
          part = hn::MulAdd(hn::Set(d, x[c]), hn::LoadU(d, weights + c * cpu::kInputTaps), part);
        sum = hn::Add(sum, part);
      }
      store_some(sum, all.K - k, all.y + ((at.n * all.H + i) * all.W + j) * all.K + k);
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
