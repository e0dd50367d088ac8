// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_DIRECT_CONV_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_DIRECT_CONV_INL_H
#undef GPUCNN_KERNELS_DIRECT_CONV_INL_H
#else
#define GPUCNN_KERNELS_DIRECT_CONV_INL_H
#endif

#include <cstdint>

#include <gpucnn/kernels/fused/relu_pool_epilogue-inl.h>

// The direct convolution with register blocking. The outputs of a tile of windows are summed in registers for one or two vectors of
// output channels. The epilogue, ReLU and pooling, is applied before anything is stored. Weights are packed with the output
// channels of a vector side by side.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

// The number of registers decides: 16 sums with the 32 registers of AVX-512, 8 with 16 registers elsewhere.
constexpr int kTileRows = kWide ? 2 : 1;  // windows of a tile
constexpr int kTileColumnsOneVector = 2;  // for one vector of channels
constexpr int kTileColumnsTwoVectors = 1;

/// The outputs of a tile of R x Q windows, for V vectors of channels.
template <int V, int R, int Q>
using Sums = Vector[2 * R][2 * Q][V];

/// Pools the windows of a tile for `count` channels, more than V - 1 vectors; `to` is the output of the first window. No address of
/// a window needs a multiplication, whose latency would delay the next tile.
template <int V, int R, int Q, class Pool>
HWY_INLINE void pool_tile(const Sums<V, R, Q>& sums, const ForwardBand& b, std::int64_t count, Pooled to, const Pool& pool) {
  const std::int64_t K = b.K, y_row = b.y_row, argmax_row = b.columns * K;
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        const std::int64_t column = q * K + v * kLanes;
        pool(sums[2 * r][2 * q][v], sums[2 * r][2 * q + 1][v], sums[2 * r + 1][2 * q][v], sums[2 * r + 1][2 * q + 1][v],
             count - v * kLanes, to.after(r * y_row + column, r * argmax_row + column));
      }
    }
  }
}

/// R x Q pooled pixels from (i, j) on, V vectors of channels from k on.
template <int V, int R, int Q>
HWY_INLINE void tile(const ForwardBand& b, std::int64_t i, std::int64_t j, std::int64_t k) {
  const Floats d;
  const std::int64_t row = cpu::padded_row(b.columns, b.C), row_stride = 3 * b.C * cpu::kVector;
  const float* HWY_RESTRICT x = b.x + 2 * i * row + 2 * j * b.C;
  const float* HWY_RESTRICT weight = b.weight + k / cpu::kVector * 3 * row_stride + k % cpu::kVector;
  Sums<V, R, Q> sums;
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    const Vector bias = hn::Load(d, b.bias + k + v * kLanes);
#pragma GCC unroll 4
    for (int o = 0; o < 2 * R; ++o) {
#pragma GCC unroll 4
      for (int p = 0; p < 2 * Q; ++p) sums[o][p][v] = bias;
    }
  }
  const float* rows[2 * R + 2];
#pragma GCC unroll 6
  for (int r = 0; r < 2 * R + 2; ++r) rows[r] = x + r * row;
  for (std::int64_t t = 0; t < 3 * b.C; ++t) {
    Vector w[3][V];
#pragma GCC unroll 3
    for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        const std::int64_t channel = v * kLanes;
        w[r][v] = hn::Load(
            d, weight + channel / cpu::kVector * 3 * row_stride + channel % cpu::kVector + r * row_stride + t * cpu::kVector);
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < 2 * R + 2; ++r) {
      const float* const pixels = rows[r]++;
#pragma GCC unroll 4
      for (int p = 0; p < 2 * Q; ++p) {
        const Vector pixel = hn::Set(d, pixels[p * b.C]);
#pragma GCC unroll 3
        for (int o = 0; o < 3; ++o) {  // the outputs for whose window r is row o
          if (o > r || r - o >= 2 * R) continue;
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v) sums[r - o][p][v] = hn::MulAdd(pixel, w[o][v], sums[r - o][p][v]);
        }
      }
    }
  }
  const Pooled to = pooled(b, i, j, k);
  if (HWY_LIKELY(b.finite)) {
    pool_tile<V, R, Q>(sums, b, b.K - k, to, pool_numbers);
  } else {
    pool_tile<V, R, Q>(sums, b, b.K - k, to, pool_outputs);
  }
}

/// Rows [i, i + R) of pooled pixels for V vectors of channels from k on.
template <int V, int R, int Q>
HWY_INLINE void tile_rows(const ForwardBand& b, std::int64_t i, std::int64_t k) {
  std::int64_t j = 0;
  for (; j + Q <= b.columns; j += Q) tile<V, R, Q>(b, i, j, k);
  if constexpr (Q > 1) {
    if (j < b.columns) tile<V, R, 1>(b, i, j, k);
  }
}

/// All pixels of the band for V vectors of channels from k on.
template <int V, int Q>
HWY_INLINE void direct_channels(const ForwardBand& b, std::int64_t k) {
  std::int64_t i = 0;
  for (; i + kTileRows <= b.rows; i += kTileRows) {
    if (k == 0) cpu::prefetch(b.next, i / kTileRows, b.rows / kTileRows);
    tile_rows<V, kTileRows, Q>(b, i, k);
  }
  if constexpr (kTileRows > 1) {
    if (i < b.rows) tile_rows<V, 1, Q>(b, i, k);
  }
}

void direct_band(const ForwardBand& b) {
  std::int64_t k = 0;
  for (; k + kLanes < b.K; k += 2 * kLanes) direct_channels<2, kTileColumnsTwoVectors>(b, k);
  if (k < b.K) direct_channels<1, kTileColumnsOneVector>(b, k);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
