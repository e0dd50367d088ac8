#pragma once

#include <cstdint>

#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/kernels/fused/window_tile.h>
#include <gpucnn/kernels/image/batch_source.h>
#include <gpucnn/kernels/image/ordered_batch.h>

/// What the tiles of a convolution's forward are loaded from: x, or the stored images of a batch still to be gathered. In .cu files
/// only.
namespace gpucnn::kernels::cuda {

/// x as it lies in memory.
template <class T>
struct StoredInput {
  static constexpr bool kGathers = false;
  const T* x;

  __device__ void find(const WindowTiles&, int, int, bool) const {}
};

/// A batch as its task gathers it, of T in the convolution and of Stored in the images, with at most kChannels channels. Its pixels
/// are also written to x.
template <class T, class Stored>
struct GatheredInput {
  static constexpr bool kGathers = true;
  static constexpr int kChannels = 4;
  const PooledSizes& s;
  const BatchTask& task;
  const StepState* state;
  const Stored* images;
  const std::int32_t* labels;  // null: none
  const std::int64_t* order;
  T* x;
  std::int32_t* batch_labels;
  Source* sources;  // of the block's tiles, which share it

  /// Draws where the images of `count` tiles come from; a barrier follows. The first tile of an image has its label, which it
  /// writes if `writes`.
  __device__ void find(const WindowTiles& tiles, int first_tile, int count, bool writes) const {
    const int t = static_cast<int>(threadIdx.x);
    if (t >= count) return;
    const WindowTile tile = tiles[first_tile + t];
    if (tile.n >= s.N) return;
    sources[t] = source_of<false>(tile.n, order, nullptr, state, task);
    if (labels && writes && tile.top == 0 && tile.left == 0) batch_labels[tile.n] = labels[sources[t].index];
  }

  /// The channels of a pixel of the block's tile `t`; zeros behind the last one. If `writes`, the tile's own pixels go to x. Pixels
  /// of the halo belong to other tiles, except a last row or column, which no window has.
  __device__ Lanes<T, kChannels> pixel(const WindowTile& tile, int t, int h, int w, bool writes) const {
    const Source& source = sources[t];
    const Stored* const image = images + source.index * task.stored_size();
    const int column = source.mirrored ? s.W - 1 - w : w;
    Lanes<T, kChannels> values{};
    GPUCNN_UNROLL
    for (int c = 0; c < kChannels; ++c) {
      if (c >= s.C) break;
      const float value = value_at<false, int>(image, source, task, h, column, c);
      values.at[c] = narrow<T>(task.normalize ? (value - task.mean[c]) / task.std[c] : value);
    }
    if (writes && owns(h, 2 * tile.top, 2 * s.Ho) && owns(w, 2 * tile.left, 2 * s.Wo)) {
      T* const to = x + ((std::int64_t{tile.n} * s.H + h) * s.W + w) * s.C;
      GPUCNN_UNROLL
      for (int c = 0; c < kChannels; ++c) {
        if (c < s.C) to[c] = values.at[c];
      }
    }
    return values;
  }

 private:
  /// Along one side, whose windows end at `end`, for a tile that begins at `first`.
  __device__ static bool owns(int at, int first, int end) { return at >= first && (at < first + kTilePixels || at == end); }
};

}  // namespace gpucnn::kernels::cuda
