#pragma once

#include <cstdint>

#include <gpucnn/kernels/simd/vector_size.h>

namespace gpucnn::kernels::cpu {

/// Neighbouring tiles whose patches and gradients are transformed, then multiplied: 16 products of [K, tiles] and [tiles, C].
/// Channels lie in blocks of kVector, within a block tile by tile.
struct WeightGradChunk {
  std::int64_t C, K;
  std::int64_t capacity;              // tiles that there is room for
  float *patches, *gradients, *sums;  // 16 elements each; sums: [K in blocks][C in blocks]
  std::int64_t first = 0, count = 0;  // tiles of this chunk
  bool fresh = true;                  // nothing was added to the sums yet

  std::int64_t block() const { return capacity * kVector; }
  /// Floats from an element to the next. A line more than a power of two keeps them in different sets of the L1 cache.
  std::int64_t patch_stride() const { return capacity * round_up(C, kVector) + kVector; }
  std::int64_t gradient_stride() const { return capacity * round_up(K, kVector) + kVector; }
  std::int64_t patches_size() const { return 16 * patch_stride(); }
  std::int64_t gradients_size() const { return 16 * gradient_stride(); }
  /// Floats from an output channel's sums to the next one's.
  std::int64_t row() const { return round_up(C, kVector); }
  std::int64_t sums_size() const { return 16 * round_up(K, kVector) * row(); }
  float* sums_at(std::int64_t e, std::int64_t k) const { return sums + (e * round_up(K, kVector) + k) * row(); }
};

}  // namespace gpucnn::kernels::cpu
