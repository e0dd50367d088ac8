#include <gpucnn/kernels/conv2d_relu_pool_cpu.h>

#include <cstring>
#include <limits>

#include <gpucnn/core/flush_subnormals.h>
#include <gpucnn/core/parallel.h>
#include <gpucnn/kernels/conv2d_relu_pool.h>
#include <gpucnn/kernels/shards.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/conv2d_relu_pool_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/pool_outputs-inl.h>
#include <gpucnn/kernels/winograd-inl.h>

// The forward pass, from registers: the convolution outputs of a tile of windows are summed up for a few channels, then go through
// bias, ReLU and pooling without touching memory. Vectors run over output channels, whose weights are packed so that they lie side
// by side.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

// Registers decide: 16 sums of 32 vectors with AVX-512, 8 of 16 elsewhere.
constexpr int kTileRows = kWide ? 2 : 1;  // windows of a tile
constexpr int kColumnsOfOne = 2;          // and for one vector of channels
constexpr int kColumnsOfTwo = 1;

/// The outputs of a tile of R x Q windows, for V vectors of channels.
template <int V, int R, int Q>
using Sums = Vector[2 * R][2 * Q][V];

/// Calls `pool(o0, o1, o2, o3, count, y, place)` for the windows of a tile.
template <int V, int R, int Q, class Pool>
HWY_INLINE void for_windows(const ForwardBand& b, std::int64_t i, std::int64_t j, std::int64_t k, const Sums<V, R, Q>& sums,
                            const Pool& pool) {
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int q = 0; q < Q; ++q) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        const std::int64_t to = ((i + r) * b.columns + j + q) * b.K + k + v * kLanes, count = b.K - k - v * kLanes;
        if (count > 0) {
          pool(sums[2 * r][2 * q][v], sums[2 * r][2 * q + 1][v], sums[2 * r + 1][2 * q][v], sums[2 * r + 1][2 * q + 1][v], count,
               b.y + to, b.place ? b.place + to : nullptr);
        }
      }
    }
  }
}

/// R x Q pooled pixels from (i, j) on, V vectors of channels from k on.
template <int V, int R, int Q>
HWY_INLINE void tile(const ForwardBand& b, std::int64_t i, std::int64_t j, std::int64_t k) {
  const Floats d;
  const std::int64_t row = (2 * b.columns + 2) * b.C, step = 3 * b.C * cpu::kVector;
  const float* HWY_RESTRICT x = b.x + 2 * i * row + 2 * j * b.C;
  const float* HWY_RESTRICT weight = b.weight + k / cpu::kVector * 3 * step + k % cpu::kVector;
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
        w[r][v] = hn::Load(d, weight + channel / cpu::kVector * 3 * step + channel % cpu::kVector + r * step + t * cpu::kVector);
      }
    }
#pragma GCC unroll 6
    for (int r = 0; r < 2 * R + 2; ++r) {
      const float* const pixels = rows[r]++;
#pragma GCC unroll 4
      for (int p = 0; p < 2 * Q; ++p) {
        const Vector pixel = hn::Set(d, pixels[p * b.C]);
#pragma GCC unroll 3
        for (int o = 0; o < 3; ++o) {  // outputs above, of which r is row o of the window
          if (o > r || r - o >= 2 * R) continue;
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v) sums[r - o][p][v] = hn::MulAdd(pixel, w[o][v], sums[r - o][p][v]);
        }
      }
    }
  }
  // Their sum is NaN if one is; an infinity beside its opposite does no harm.
  Vector check = hn::Zero(d);
  for_windows<V, R, Q>(b, i, j, k, sums,
                       [&](Vector o0, Vector o1, Vector o2, Vector o3, std::int64_t, float*, std::uint8_t*)
                           HWY_ATTR { check = hn::Add(check, hn::Add(hn::Add(o0, o1), hn::Add(o2, o3))); });
  if (HWY_LIKELY(hn::AllFalse(d, hn::IsNaN(check)))) {
    for_windows<V, R, Q>(b, i, j, k, sums, pool_numbers);
  } else {
    for_windows<V, R, Q>(b, i, j, k, sums, pool_outputs);
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
HWY_INLINE void channels(const ForwardBand& b, std::int64_t k) {
  std::int64_t i = 0;
  for (; i + kTileRows <= b.rows; i += kTileRows) {
    if (k == 0) b.next.ask(i / kTileRows, b.rows / kTileRows);
    tile_rows<V, kTileRows, Q>(b, i, k);
  }
  if constexpr (kTileRows > 1) {
    if (i < b.rows) tile_rows<V, 1, Q>(b, i, k);
  }
}

void direct_band(const ForwardBand& b) {
  std::int64_t k = 0;
  for (; k + kLanes < b.K; k += 2 * kLanes) channels<2, kColumnsOfTwo>(b, k);
  if (k < b.K) channels<1, kColumnsOfOne>(b, k);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(direct_band);
HWY_EXPORT(winograd_band);
HWY_EXPORT(transform_weights);
HWY_EXPORT(largest);

namespace cpu {
namespace {

/// weight: [K][3][3 C], to blocks of kVector output channels; channels beyond K are zero.
void pack(const float* weight, std::int64_t K, std::int64_t taps, float* to) {
  for (std::int64_t block = 0; block < K; block += kVector, to += taps * kVector) {
    const std::int64_t count = std::min(kVector, K - block);
    if (count < kVector) std::fill_n(to, taps * kVector, 0.0F);
    for (std::int64_t k = 0; k < count; ++k) {
      const float* from = weight + (block + k) * taps;
      for (std::int64_t t = 0; t < taps; ++t) to[t * kVector + k] = from[t];
    }
  }
}

/// What the tasks of a forward pass share, in one piece: another core fetches it line by line. A unit is a band of an image.
struct ForwardPass {
  PooledConv conv;
  Shards shards;  // of units
  std::int64_t band_rows, bands, buffer, scratch;
  const float* x;
  float* y;
  std::uint8_t* place;   // null: not wanted
  float* memory;         // [threads][scratch]: a padded band, then what Winograd's products need
  const float* weights;  // as ForwardBand's
  const float* biases;
  const float* transforms;
  float most_input;

  void operator()(std::int64_t shard, int thread) const {
    const FlushSubnormals flush;
    float* const padded = memory + thread * scratch;
    std::fill_n(padded, buffer, 0.0F);
    ForwardBand band{.C = conv.C,
                     .K = conv.K,
                     .rows = 0,
                     .columns = conv.columns,
                     .x = padded,
                     .weight = weights,
                     .bias = biases,
                     .y = nullptr,
                     .place = nullptr,
                     .next = {},
                     .transformed = transforms,
                     .most_input = most_input,
                     .memory = padded + buffer};
    const std::int64_t image = conv.H * conv.W * conv.C;
    for (std::int64_t unit = shards.first(shard); unit < shards.last(shard); ++unit) {
      const std::int64_t n = unit / bands, first = unit % bands * band_rows, last = std::min(first + band_rows, conv.rows);
      const std::int64_t to = (n * conv.rows + first) * conv.columns * conv.K;
      conv.pad(x + n * image, first, last, padded);
      band.rows = last - first;
      band.y = y + to;
      band.place = place ? place + to : nullptr;
      band.next = last == conv.rows && n + 1 < conv.N ? Prefetch(x + (n + 1) * image, image) : Prefetch();
      if (most_input < 0 || !HWY_DYNAMIC_DISPATCH(winograd_band)(band)) HWY_DYNAMIC_DISPATCH(direct_band)(band);
    }
  }
};

/// How large inputs may be for all of Winograd's sums to stay finite, with weights and biases up to these magnitudes: B, G and A,
/// each used twice, have rows whose magnitudes add up to 2, 3/2 and 3. Negative if those are too large themselves, or not finite.
float most_winograd_input(float weight, float bias, std::int64_t C) {
  constexpr float kMost = std::numeric_limits<float>::max() / 4;
  if (!(weight <= kMost / 4 && bias <= kMost)) return -1;
  return kMost / std::max(1.0F, 81 * static_cast<float>(C) * weight);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.shape() == b.shape() && std::memcmp(a.bytes(), b.bytes(), a.nbytes()) == 0;
}

Tensor copy_of(const Tensor& tensor) { return tensor.defined() ? tensor.clone() : Tensor{}; }

}  // namespace
}  // namespace cpu

/// The parts of `packed_`, made of weight and bias unless they are there already.
struct Conv2dReluPoolWeights::Parts {
  const float *weights, *biases, *transforms;  // as ForwardBand's
  float most_input;                            // as ForwardBand's; negative: there are no transforms

  Parts(Conv2dReluPoolWeights& kept, const Tensor& weight, const Tensor& bias) {
    const std::int64_t K = weight.dim(0), C = weight.dim(1), taps = 9 * C, channels = cpu::round_up(K, cpu::kVector);
    const bool winograd = C >= 8;  // its transforms pay for themselves where they serve many channels
    const bool there = kept.packed_.defined() && cpu::same_bits(kept.weight_, weight) && cpu::same_bits(kept.bias_, bias);
    if (!there) {
      kept.packed_ = Tensor();  // until all is made
      Tensor packed = Tensor::empty({channels * (taps + 1) + (winograd ? 16 * C * channels : 0)});
      float* const first = packed.data<float>();
      float* const last = first + channels * taps;
      cpu::pack(weight.data<float>(), K, taps, first);
      std::fill_n(last, channels, 0.0F);
      if (bias.defined()) std::copy_n(bias.data<float>(), K, last);
      kept.most_input_ = -1;
      if (winograd) {
        const auto largest = HWY_DYNAMIC_DISPATCH(largest);
        kept.most_input_ = cpu::most_winograd_input(largest(first, channels * taps), largest(last, channels), C);
        HWY_DYNAMIC_DISPATCH(transform_weights)(first, K, C, last + channels);
      }
      kept.weight_ = cpu::copy_of(weight);
      kept.bias_ = cpu::copy_of(bias);
      kept.packed_ = packed;
    }
    weights = kept.packed_.data<float>();
    biases = weights + channels * taps;
    transforms = biases + channels;
    most_input = kept.most_input_;
  }
};

namespace cpu {

void conv2d_relu_pool(const Tensor& x, const Tensor& weight, const Tensor& bias, Tensor& y, Tensor& place,
                      Conv2dReluPoolWeights& kept) {
  const PooledConv conv(x, y);
  const Conv2dReluPoolWeights::Parts weights(kept, weight, bias);
  // Few images are cut further, so that there is work for several threads, but not into less than pays for telling one of it.
  constexpr std::int64_t kLeastTasks = 8, kLeastProducts = 1 << 19;
  const std::int64_t products = 4 * weight.numel() * conv.rows * conv.columns;
  const std::int64_t pieces = std::clamp<std::int64_t>(products / kLeastProducts, 1, (kLeastTasks + conv.N - 1) / conv.N);
  const std::int64_t band_rows = std::min(conv.band_rows(), (conv.rows + pieces - 1) / pieces);
  const std::int64_t bands = (conv.rows + band_rows - 1) / band_rows, buffer = conv.padded_band(band_rows);
  const std::int64_t scratch = buffer + (weights.most_input >= 0 ? kMostPatches * 16 * (round_up(conv.C, kVector) + 2 * kVector) : 0);
  const int threads = num_threads();
  Tensor memory = Tensor::empty({threads, scratch});
  const ForwardPass pass{.conv = conv,
                         .shards = Shards(conv.N * bands),
                         .band_rows = band_rows,
                         .bands = bands,
                         .buffer = buffer,
                         .scratch = scratch,
                         .x = x.data<float>(),
                         .y = y.data<float>(),
                         .place = place.defined() ? place.data<std::uint8_t>() : nullptr,
                         .memory = memory.data<float>(),
                         .weights = weights.weights,
                         .biases = weights.biases,
                         .transforms = weights.transforms,
                         .most_input = weights.most_input};
  parallel_for(pass.shards.count(), threads, pass);
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
