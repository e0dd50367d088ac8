#pragma once

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/winograd/winograd_tiles.h>

namespace gpucnn::kernels::cpu {

inline std::int64_t parts(std::int64_t count, std::int64_t size) { return (count + size - 1) / size; }

/// How a convolution is shared out: a task takes some tiles, and all output channels or a panel of them.
struct WinogradSplit {
  static constexpr std::int64_t kRows = 12;  // of tiles: a multiple of every micro-kernel's

  explicit WinogradSplit(const WinogradTiles& all) : tiles(all.tiles()), K(all.K), packs(all.raw != nullptr) {
    constexpr std::int64_t kMinTasks = 16;
    const std::int64_t best = best_tiles(all.C);
    if (tiles > K) {
      grain = std::min(best, round_up(parts(tiles, kMinTasks), kRows));
      channels = K;
    } else {  // weights are more than patches: each is read by one core, once for as many tiles as fit into its cache
      grain = packs ? round_up(tiles, kRows) : round_up(parts(tiles, parts(tiles, best)), kRows);
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
  /// As many as keep the transformed patches in the L2 cache, and at least as many as make reading the weights pay.
  static std::int64_t best_tiles(std::int64_t C) {
    constexpr std::int64_t kPatchFloats = 12288, kMin = 48, kMax = 240;
    return round_up(std::clamp(kPatchFloats / C, kMin, kMax), kRows);
  }
};

/// What a thread works in. It keeps the patches of the tiles that it transformed last, for the next panel's task. Other threads
/// transform them again: that takes less time than fetching them from another core's cache.
struct ThreadMemory {
  ThreadMemory(const WinogradSplit& split, std::int64_t C)
      : patches(split.grain, C), grain(split.grain), weights_size(split.packs ? 16 * tap_size(C) : 0) {}

  std::int64_t size() const { return round_up(kVector + patches.size() + weights_size + products_size() + grain / 4 + 1, kVector); }
  /// The same at `memory`.
  ThreadMemory at(float* memory) const {
    ThreadMemory there = *this;
    there.patches.data = memory + kVector;
    return there;
  }

  /// The first tile of the patches; -1: none yet.
  std::int64_t& first() const { return *reinterpret_cast<std::int64_t*>(patches.data - kVector); }
  float* weights() const { return patches.data + patches.size(); }
  float* products() const { return weights() + weights_size; }
  /// Which tiles of the patches must be computed directly.
  std::uint8_t* direct() const { return reinterpret_cast<std::uint8_t*>(products() + products_size()); }

  Patches patches;
  std::int64_t grain, weights_size;

 private:
  std::int64_t products_size() const { return 16 * products_of(grain); }
};

}  // namespace gpucnn::kernels::cpu
