// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_WEIGHT_GRAD_PRODUCTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_WEIGHT_GRAD_PRODUCTS_INL_H
#undef GPUCNN_KERNELS_WEIGHT_GRAD_PRODUCTS_INL_H
#else
#define GPUCNN_KERNELS_WEIGHT_GRAD_PRODUCTS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/winograd/tile_transforms-inl.h>
#include <gpucnn/kernels/winograd/weight_grad_chunk.h>

// The transposed Winograd F(2x2,3x3): from patches of x and tiles of dy to the gradient of the weights.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// A of two gradients.
HWY_INLINE PatchLine expand_pair(Vector y0, Vector y1) { return {y0, hn::Add(y0, y1), hn::Sub(y0, y1), hn::Neg(y1)}; }

/// A dy A^T of a vector of channels of a tile's four pixels. Element e goes to to[e * stride].
HWY_INLINE void expand_vector(const float* const (&pixels)[4], std::int64_t k, float* to, std::int64_t stride, Vector& energy) {
  const Floats d;
  Vector y[4];
#pragma GCC unroll 4
  for (int p = 0; p < 4; ++p) {
    y[p] = hn::LoadU(d, pixels[p] + k);
    energy = hn::MulAdd(y[p], y[p], energy);
  }
  const PatchLine above = expand_pair(y[0], y[1]), below = expand_pair(y[2], y[3]);
  const auto column = [&](Vector y0, Vector y1, float* element) HWY_ATTR {
    const PatchLine expanded = expand_pair(y0, y1);
    hn::StoreU(expanded.v0, d, element);
    hn::StoreU(expanded.v1, d, element + 4 * stride);
    hn::StoreU(expanded.v2, d, element + 8 * stride);
    hn::StoreU(expanded.v3, d, element + 12 * stride);
  };
  column(above.v0, below.v0, to);
  column(above.v1, below.v1, to + stride);
  column(above.v2, below.v2, to + 2 * stride);
  column(above.v3, below.v3, to + 3 * stride);
}

/// The expanded gradients of a tile, as `transform_patch` has its patch. False if they are not finite or could overflow.
HWY_INLINE bool expand_tile(const cpu::WinogradTiles& all, const float* dy, const float* zeros, const cpu::TilePlace& at, float* to,
                            std::int64_t block, std::int64_t stride) {
  const Floats d;
  const float* pixels[4];
  for (int p = 0; p < 4; ++p) {
    const std::int64_t i = at.i + p / 2, j = at.j + p % 2;
    pixels[p] = i < all.H && j < all.W ? dy + ((at.n * all.H + i) * all.W + j) * all.K : zeros;
  }
  Vector energy = hn::Zero(d);
  std::int64_t k = 0;
  for (; k + kLanes <= all.K; k += kLanes) {
    expand_vector(pixels, k, to + k / cpu::kVector * block + k % cpu::kVector, stride, energy);
  }
  if (k < all.K) {
    float rest[4][cpu::kVector] = {};
    for (int p = 0; p < 4; ++p) {
      std::copy_n(pixels[p] + k, all.K - k, rest[p]);
      pixels[p] = rest[p];
    }
    expand_vector(pixels, 0, to + k / cpu::kVector * block + k % cpu::kVector, stride, energy);
  }
  return hn::GetLane(hn::SumOfLanes(d, energy)) <= all.max_energy;
}

/// Transforms tiles [begin, end) of a chunk. False if one must not be multiplied.
inline bool transform_tiles(const cpu::WinogradTiles& all, const float* dy, const float* zeros, const cpu::WeightGradChunk& chunk,
                            std::int64_t begin, std::int64_t end) {
  bool fit = true;
  cpu::TilePlace at(all, chunk.first + begin);
  for (std::int64_t t = begin; t < end; ++t, at.next(all)) {
    fit &= transform_patch(all, at, chunk.patches + t * cpu::kVector, chunk.block(), chunk.patch_stride());
    fit &= expand_tile(all, dy, zeros, at, chunk.gradients + t * cpu::kVector, chunk.block(), chunk.gradient_stride());
  }
  return fit;
}

/// R output channels by V vectors of input channels: sums over `count` tiles, added to what is there unless `fresh`.
template <int R, int V>
HWY_INLINE void add_outer_products(const float* HWY_RESTRICT gradients, const float* const (&patches)[V], std::int64_t count,
                                   bool fresh, float* HWY_RESTRICT to, std::int64_t row) {
  const Floats d;
  Vector sums[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
  }
  for (std::int64_t t = 0; t < count * cpu::kVector; t += cpu::kVector) {
    Vector x[V];
#pragma GCC unroll 3
    for (int v = 0; v < V; ++v) x[v] = hn::LoadU(d, patches[v] + t);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vector y = hn::Set(d, gradients[t + r]);
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(y, x[v], sums[r][v]);
    }
  }
#pragma GCC unroll 8
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
  constexpr int kRows = kWide ? 8 : 4;
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
    const bool fresh = chunk.first + t == 0;
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

/// The nine taps of output channel k, [3, 3, C], from its sums: added to what is there if `accumulate`.
inline void finish_taps(const cpu::WeightGradChunk& chunk, std::int64_t k, bool accumulate, float* to) {
  const Floats d;
  for (std::int64_t c = 0; c < chunk.C; c += kLanes) {
    Vector rows[4][3];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
      const auto sum = [&](int s) HWY_ATTR { return hn::LoadU(d, chunk.sums_at(4 * r + s, k) + c); };
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
