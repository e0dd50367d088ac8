#pragma once

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/winograd/winograd_tiles.h>

namespace gpucnn::kernels::cpu {

inline std::int64_t parts(std::int64_t count, std::int64_t size) { return (count + size - 1) / size; }

/// How a convolution is shared out: a task takes some tiles, and all output channels or a panel of them.
struct WinogradSplit {
  explicit WinogradSplit(const WinogradTiles& all) : tiles(all.tiles()), K(all.K), packs(all.raw != nullptr) {
    constexpr std::int64_t kMinTasks = 16;
    if (tiles > K) {
      grain = std::min(kMinTiles, round_up(parts(tiles, kMinTasks), kTileUnit));
      channels = K;
    } else {  // weights are more than patches: each is read by one core, once for as many tiles as fit into its cache
      const std::int64_t most = packs ? tiles : std::clamp(kPatchFloats / all.C, kMinTiles, kMaxTiles);
      grain = round_up(parts(tiles, parts(tiles, most)), kTileUnit);
      channels = kPanel;
    }
  }

  /// Whether tasks may pack their panels themselves, each one panel: where a task takes all tiles. A panel never leaves the core's
  /// cache then. Of 512 channels all panels are 17 MB, which take longer to write and to read than to make.
  static bool may_pack(const WinogradTiles& all) {
    constexpr std::int64_t kMaxPatches = 1 << 15;  // times 16 floats: 2 MiB
    return all.tiles() <= all.K && all.tiles() * all.C <= kMaxPatches;
  }

  std::int64_t panels() const { return parts(K, channels); }
  std::int64_t tasks() const { return parts(tiles, grain) * panels(); }

  std::int64_t tiles, K, grain, channels;
  bool packs;

 private:
  /// They make reading the weights pay; transforms of few channels stay in the L1 cache.
  static constexpr std::int64_t kMinTiles = 48;
  static constexpr std::int64_t kPatchFloats = 12288, kMaxTiles = 240;  // of a task: times 16, which stay in the L2 cache
};

/// What a thread works in. It keeps the patches of the tiles that it transformed last, for the next panel's task. Other threads
/// transform them again: that takes less time than fetching them from another core's cache.
struct ThreadMemory {
  ThreadMemory(const WinogradSplit& split, std::int64_t C)
      : grain(split.grain),
        patches_size(parts(grain, kTileGroup) * GroupLayout::group(C)),
        weights_size(split.packs ? 16 * tap_size(C) : 0) {}

  std::int64_t size() const { return round_up(kVector + patches_size + weights_size + products_size() + grain / 4 + 1, kVector); }
  /// The same at `memory`.
  ThreadMemory at(float* memory) const {
    ThreadMemory there = *this;
    there.patches = memory + kVector;
    return there;
  }

  /// The first tile of the patches; -1: none yet.
  std::int64_t& first() const { return *reinterpret_cast<std::int64_t*>(patches - kVector); }
  float* weights() const { return patches + patches_size; }
  float* products() const { return weights() + weights_size; }
  /// Which tiles of the patches must be computed directly.
  std::uint8_t* direct() const { return reinterpret_cast<std::uint8_t*>(products() + products_size()); }

  std::int64_t grain, patches_size, weights_size;
  float* patches = nullptr;

 private:
  std::int64_t products_size() const { return parts(grain, kTileGroup) * kGroupProducts; }
};

}  // namespace gpucnn::kernels::cpu
