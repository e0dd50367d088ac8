// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_WEIGHT_GRAD_PRODUCTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_WEIGHT_GRAD_PRODUCTS_INL_H
#undef GPUCNN_KERNELS_WEIGHT_GRAD_PRODUCTS_INL_H
#else
#define GPUCNN_KERNELS_WEIGHT_GRAD_PRODUCTS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/winograd/patch_transforms-inl.h>
#include <gpucnn/kernels/winograd/weight_grad_chunk.h>
#include <gpucnn/kernels/winograd/winograd_tiles.h>

// The transposed Winograd F(2x2,3x3): from patches of x and tiles of dy to the gradient of the weights.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// A of two gradients.
HWY_INLINE PatchLine expand_pair(Vector y0, Vector y1) { return {y0, hn::Add(y0, y1), hn::Sub(y0, y1), hn::Neg(y1)}; }

/// A dy A^T of `count` tiles side by side, the first one's left column being `left`; a vector of channels from k on, of which there
/// are `channels`. False if a lane's sum of squares is above `limit`, or no number.
template <bool kWhole>
HWY_INLINE bool expand_vectors(const cpu::PixelRows<2>& rows, std::int64_t left, std::int64_t count, std::int64_t k,
                               std::int64_t channels, float limit, float* to, const cpu::PatchLayout& layout) {
  const Floats d;
  const cpu::PixelRows<2> dy = rows;  // in registers
  const std::int64_t element = layout.element();
  const Vector most = hn::Set(d, limit);
  auto fit = hn::Eq(most, most);
  for (std::int64_t t = 0; t < count; ++t, to += layout.tile()) {
    Vector energy = hn::Zero(d), first[2], second[2];
    load_column<kWhole>(dy, left + 2 * t, k, channels, first, energy);
    load_column<kWhole>(dy, left + 2 * t + 1, k, channels, second, energy);
    const PatchLine v0 = expand_pair(first[0], first[1]), v1 = expand_pair(second[0], second[1]);
    store_line(expand_pair(v0.v0, v1.v0), to, element);
    store_line(expand_pair(v0.v1, v1.v1), to + 4 * element, element);
    store_line(expand_pair(v0.v2, v1.v2), to + 8 * element, element);
    store_line(expand_pair(v0.v3, v1.v3), to + 12 * element, element);
    fit = hn::And(fit, hn::Le(energy, most));
  }
  return hn::AllTrue(d, fit);
}

/// The expanded gradients of `length` tiles side by side from `at` on. False if they are not finite or could overflow.
HWY_INLINE bool expand_row(const cpu::WinogradTiles& all, const float* dy, const cpu::TilePlace& at, std::int64_t length, float* to,
                           const cpu::PatchLayout& layout) {
  const float limit = all.max_energy / static_cast<float>(cpu::round_up(all.K, kLanes));
  const cpu::PixelRows<2> rows(dy + at.n * all.H * all.W * all.K, all.H, all.W, all.K, all.zeros, at.i);
  bool fit = true;
  for (std::int64_t k = 0; k < all.K; k += kLanes) {
    float* const vectors = to + k / cpu::kVector * layout.block() + k % cpu::kVector;
    fit &= k + kLanes <= all.K ? expand_vectors<true>(rows, at.j, length, k, kLanes, limit, vectors, layout)
                               : expand_vectors<false>(rows, at.j, length, k, all.K - k, limit, vectors, layout);
  }
  return fit;
}

/// Transforms tiles [begin, end) of a chunk. False if one must not be multiplied.
inline bool transform_tiles(const cpu::WinogradTiles& all, const float* dy, const cpu::WeightGradChunk& chunk, std::int64_t begin,
                            std::int64_t end) {
  const cpu::PatchLayout patches{cpu::kVector, chunk.block(), chunk.patch_stride()};
  const cpu::PatchLayout gradients{cpu::kVector, chunk.block(), chunk.gradient_stride()};
  bool fit = true;
  for (std::int64_t t = begin, length; t < end; t += length) {
    const cpu::TilePlace at(all, chunk.first + t);
    length = std::min(end - t, all.columns() - at.j / 2);
    fit &= transform_row(patch_rows(all, at), at.j - 1, length, all.max_energy, chunk.patches + t * cpu::kVector, patches, nullptr);
    fit &= expand_row(all, dy, at, length, chunk.gradients + t * cpu::kVector, gradients);
  }
  return fit;
}

/// R output channels by V vectors of input channels: sums over `count` tiles, added to what is there unless `fresh`.
template <int R, int V>
HWY_INLINE void add_outer_products(const float* HWY_RESTRICT gradients, const float* const (&patches)[V], std::int64_t count,
                                   bool fresh, float* HWY_RESTRICT to, std::int64_t row) {
  const Floats d;
  Vector sums[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
  }
  for (std::int64_t t = 0; t < count * cpu::kVector; t += cpu::kVector) {
    Vector x[V];
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) x[v] = hn::LoadU(d, patches[v] + t);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vector y = hn::Set(d, gradients[t + r]);
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(y, x[v], sums[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) {
      float* const sum = to + r * row + v * kLanes;
      hn::StoreU(fresh ? sums[r][v] : hn::Add(hn::LoadU(d, sum), sums[r][v]), d, sum);
    }
  }
}

/// All output channels of a block by V vectors of input channels from c on.
template <int V>
HWY_INLINE void add_channels(const cpu::WeightGradChunk& chunk, std::int64_t e, std::int64_t k, std::int64_t c, std::int64_t t,
                             std::int64_t count, bool fresh) {
  constexpr int kRows = (kWide ? 8 : 4) * (V == 1 ? 2 : 1);  // whose sums fill the registers
  const float* patches[V];
  for (int v = 0; v < V; ++v) {
    const std::int64_t channel = c + v * kLanes;
    patches[v] = chunk.patches + e * chunk.patch_stride() + channel / cpu::kVector * chunk.block() + t * cpu::kVector +
                 channel % cpu::kVector;
  }
  const float* const gradients =
      chunk.gradients + e * chunk.gradient_stride() + k / cpu::kVector * chunk.block() + t * cpu::kVector;
  for (std::int64_t r = 0; r < cpu::kVector && k + r < chunk.K; r += kRows) {
    add_outer_products<kRows, V>(gradients + r, patches, count, fresh, chunk.sums_at(e, k + r) + c, chunk.row());
  }
}

/// Element e of the products of a block of kVector output channels from k on, with all input channels.
inline void add_element(const cpu::WeightGradChunk& chunk, std::int64_t e, std::int64_t k) {
  constexpr std::int64_t kTiles = 128;  // whose patches of three vectors lie in the L1 cache
  constexpr int kVectors = 3;
  for (std::int64_t t = 0; t < chunk.count; t += kTiles) {
    const std::int64_t count = std::min(kTiles, chunk.count - t);
    const bool fresh = chunk.fresh && t == 0;
    std::int64_t c = 0;
    for (; c + 2 * kLanes < chunk.C; c += kVectors * kLanes) add_channels<kVectors>(chunk, e, k, c, t, count, fresh);
    if (c + kLanes < chunk.C) {
      add_channels<2>(chunk, e, k, c, t, count, fresh);
    } else if (c < chunk.C) {
      add_channels<1>(chunk, e, k, c, t, count, fresh);
    }
  }
}

/// Adds the gradients of a block of up to kVector output channels from k on to `sums`, in double.
inline void add_bias_gradients(const cpu::WeightGradChunk& chunk, std::int64_t k, double* sums) {
  constexpr std::int64_t kTiles = 128, kSumOfTile = 5;  // the element that is the sum of a tile's four gradients
  const Floats d;
  const float* const from = chunk.gradients + kSumOfTile * chunk.gradient_stride() + k / cpu::kVector * chunk.block();
  for (std::int64_t lane = 0; lane < cpu::kVector && k + lane < chunk.K; lane += kLanes) {
    for (std::int64_t t = 0; t < chunk.count; t += kTiles) {
      Vector sum = hn::Zero(d);
      for (std::int64_t i = t; i < std::min(t + kTiles, chunk.count); ++i) {
        sum = hn::Add(sum, hn::LoadU(d, from + i * cpu::kVector + lane));
      }
      HWY_ALIGN float lanes[cpu::kVector];
      hn::Store(sum, d, lanes);
      for (std::int64_t l = 0; l < kLanes && k + lane + l < chunk.K; ++l) sums[k + lane + l] += static_cast<double>(lanes[l]);
    }
  }
}

/// G^T of a line of four.
HWY_INLINE void reduce_line(Vector p0, Vector p1, Vector p2, Vector p3, Vector (&to)[3]) {
  const Vector half = hn::Set(Floats(), 0.5F), sum = hn::Mul(half, hn::Add(p1, p2));
  to[0] = hn::Add(p0, sum);
  to[1] = hn::Mul(half, hn::Sub(p1, p2));
  to[2] = hn::Add(sum, p3);
}

/// The nine taps of output channel k, [3, 3, C], from its sums of all shards: added to what is there if `accumulate`.
inline void finish_taps(const cpu::WeightGradChunk& chunk, std::int64_t shards, std::int64_t k, bool accumulate, float* to) {
  const Floats d;
  for (std::int64_t c = 0; c < chunk.C; c += kLanes) {
    Vector rows[4][3];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const auto sum = [&](int s) HWY_ATTR {
        const float* from = chunk.sums_at(4 * r + s, k) + c;
        Vector total = hn::LoadU(d, from);
        for (std::int64_t shard = 1; shard < shards; ++shard) total = hn::Add(total, hn::LoadU(d, from += chunk.sums_size()));
        return total;
      };
      reduce_line(sum(0), sum(1), sum(2), sum(3), rows[r]);
    }
    const std::int64_t count = std::min<std::int64_t>(kLanes, chunk.C - c);
#pragma GCC unroll 3
    for (int s = 0; s < 3; ++s) {
      Vector column[3];
      reduce_line(rows[0][s], rows[1][s], rows[2][s], rows[3][s], column);
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
        float* const tap = to + (3 * r + s) * chunk.C + c;
        if (!accumulate) {
          store_some(column[r], count, tap);
          continue;
        }
        HWY_ALIGN float lanes[cpu::kVector];
        hn::Store(column[r], d, lanes);
        for (std::int64_t l = 0; l < count; ++l) tap[l] += lanes[l];
      }
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
