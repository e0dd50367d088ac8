#include <gpucnn/kernels/conv2d_relu_pool_cpu.h>

#include <bit>

#include <gpucnn/core/flush_subnormals.h>
#include <gpucnn/core/parallel.h>
#include <gpucnn/kernels/conv2d.h>
#include <gpucnn/kernels/shards.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/conv2d_relu_pool_backward_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

// The backward pass over winners only: each pooled element sends its gradient to one of the four outputs of its window, whose 3x3
// input pixels are 3 runs of 3 C floats in the padded band. Vectors run along these runs ("spans"), in weights, x and dx alike.
#ifndef GPUCNN_KERNELS_CONV2D_RELU_POOL_BACKWARD_CPU
#define GPUCNN_KERNELS_CONV2D_RELU_POOL_BACKWARD_CPU
namespace gpucnn::kernels {

/// A band of pooled rows on its way back. `pixels` counts its pooled pixels.
struct BackwardBand {
  std::int64_t C, K, rows, columns;
  std::int64_t span;          // 3 C, padded to vectors
  std::int64_t channels;      // K, padded to vectors
  const float* dy;            // [pixels][K]
  const std::uint8_t* place;  // [pixels][K]
  float* gradient;            // [pixels][channels]: dy, 0 where it ends
  std::int32_t* start;        // [pixels][channels]: where in the band the winner's input pixels begin
  std::uint64_t* winners;     // [pixels][4][K in words]: which channels won with each place; null: dx is not wanted
  const float* x;             // padded
  float* dweight;             // [K][3][span], added to
  float* dbias;               // [channels], added to
  const float* weight;        // as `pack_spans` gives it
  float* dx;                  // padded, added to
  cpu::Prefetch next[4];      // x, dy and places of the image after this one; dx of this one
};

}  // namespace gpucnn::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, cpu::kVector>;
using Vector = hn::Vec<Floats>;
constexpr int kLanes = hn::MaxLanes(Floats());

/// Fills `gradient` and `start`, adds to dbias. Lanes behind channel K are 0.
void find_gradients(const BackwardBand& b) {
  const Floats d;
  const hn::Rebind<std::int32_t, Floats> integers;
  const hn::Rebind<std::uint8_t, Floats> bytes;
  const std::int64_t row = (2 * b.columns + 2) * b.C;
  const auto right = hn::Set(integers, static_cast<std::int32_t>(b.C)), down = hn::Set(integers, static_cast<std::int32_t>(row));
  for (std::int64_t k = 0; k < b.K; k += kLanes) {
    const std::int64_t count = std::min<std::int64_t>(kLanes, b.K - k);
    Vector sum = hn::Zero(d);
    for (std::int64_t i = 0, pixel = 0; i < b.rows; ++i) {
      for (std::int64_t j = 0; j < b.columns; ++j, ++pixel) {
        const float* dy = b.dy + pixel * b.K + k;
        const std::uint8_t* places = b.place + pixel * b.K + k;
        HWY_ALIGN float some_dy[kLanes];
        HWY_ALIGN std::uint8_t some_places[kLanes];
        if (count < kLanes) {
          std::fill_n(std::copy_n(dy, count, some_dy), kLanes - count, 0.0F);
          std::fill_n(std::copy_n(places, count, some_places), kLanes - count, std::uint8_t{0});
          dy = some_dy;
          places = some_places;
        }
        const auto place = hn::PromoteTo(integers, hn::LoadU(bytes, places));
        const auto ends = hn::RebindMask(d, hn::Eq(place, hn::Set(integers, 4)));
        const Vector gradient = hn::IfThenZeroElse(ends, hn::LoadU(d, dy));
        sum = hn::Add(sum, gradient);
        hn::Store(gradient, d, b.gradient + pixel * b.channels + k);
        const auto window = hn::Set(integers, static_cast<std::int32_t>(2 * i * row + 2 * j * b.C));
        const auto to_right = hn::IfThenElseZero(hn::TestBit(place, hn::Set(integers, 1)), right);
        const auto to_below = hn::IfThenElseZero(hn::TestBit(place, hn::Set(integers, 2)), down);
        hn::Store(hn::Add(window, hn::Add(to_right, to_below)), integers, b.start + pixel * b.channels + k);
      }
    }
    hn::Store(hn::Add(hn::Load(d, b.dbias + k), sum), d, b.dbias + k);
  }
}

/// Bit k of the result for place p is set where places[k] == p, for up to 64 channels.
HWY_INLINE void find_winners(const std::uint8_t* places, std::int64_t count, std::uint64_t* winners, std::int64_t stride) {
#if HWY_TARGET == HWY_SCALAR
  for (std::uint8_t p = 0; p < 4; ++p) {
    std::uint64_t found = 0;
    for (std::int64_t k = 0; k < count; ++k) found |= std::uint64_t{places[k] == p} << k;
    winners[p * stride] = found;
  }
#else
  const hn::FixedTag<std::uint8_t, 16> d;
  std::uint64_t found[4] = {};
  for (std::int64_t k = 0; k < count; k += 16) {
    HWY_ALIGN std::uint8_t some[16];
    const std::uint8_t* from = places + k;
    if (count - k < 16) {
      std::fill_n(some, 16, std::uint8_t{4});
      std::copy_n(from, count - k, some);
      from = some;
    }
    const auto place = hn::LoadU(d, from);
    for (std::uint8_t p = 0; p < 4; ++p) {
      std::uint8_t bits[8] = {};
      hn::StoreMaskBits(d, hn::Eq(place, hn::Set(d, p)), bits);
      found[p] |= (std::uint64_t{bits[0]} | std::uint64_t{bits[1]} << 8) << k;
    }
  }
  for (int p = 0; p < 4; ++p) winners[p * stride] = found[p];
#endif
}

/// Calls `run(vectors, s)` for the parts [s, s + vectors * kLanes) of a span, `vectors` being a constant of 3, 2 or 1.
template <class Run>
HWY_INLINE void for_parts(std::int64_t span, const Run& run) {
  std::int64_t s = 0;
  for (; s + 3 * kLanes <= span; s += 3 * kLanes) run(std::integral_constant<int, 3>(), s);
  for (; s + 2 * kLanes <= span; s += 2 * kLanes) run(std::integral_constant<int, 2>(), s);
  for (; s < span; s += kLanes) run(std::integral_constant<int, 1>(), s);
}

/// The sums of G channels' weights from k on, for V vectors of their spans from s on.
template <int V, int G>
HWY_INLINE void add_weight_gradients(const BackwardBand& b, std::int64_t k, std::int64_t s) {
  const Floats d;
  const std::int64_t row = (2 * b.columns + 2) * b.C;
  Vector sums[G][3][V];
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) {
#pragma GCC unroll 3
    for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) sums[g][r][v] = hn::Zero(d);
    }
  }
  const float* gradient = b.gradient + k;
  const std::int32_t* start = b.start + k;
  for (std::int64_t pixel = 0; pixel < b.rows * b.columns; ++pixel, gradient += b.channels, start += b.channels) {
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const float* x = b.x + s + start[g];
      const Vector factor = hn::Set(d, gradient[g]);
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) sums[g][r][v] = hn::MulAdd(factor, hn::LoadU(d, x + r * row + v * kLanes), sums[g][r][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) {
#pragma GCC unroll 3
    for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
      for (int v = 0; v < V; ++v) {
        float* to = b.dweight + ((k + g) * 3 + r) * b.span + s + v * kLanes;
        hn::Store(hn::Add(hn::Load(d, to), sums[g][r][v]), d, to);
      }
    }
  }
}

template <int V>
HWY_INLINE void add_weight_gradients(const BackwardBand& b, std::int64_t s) {
  constexpr int kGroup = 4 / V;  // so that sums are enough to hide how long one takes, and stay in registers
  std::int64_t k = 0;
  for (; k + kGroup <= b.K; k += kGroup) {
    for (const cpu::Prefetch& next : b.next) {
      if (s == 0) next.ask(k / kGroup, b.K / kGroup);
    }
    add_weight_gradients<V, kGroup>(b, k, s);
  }
  for (; k < b.K; ++k) add_weight_gradients<V, 1>(b, k, s);
}

/// What the band's gradients give to V vectors of the spans of dx from s on. What lies behind 3 C stays as it is.
template <int V>
HWY_INLINE void add_data_gradients(const BackwardBand& b, std::int64_t s) {
  const Floats d;
  const std::int64_t row = (2 * b.columns + 2) * b.C, words = (b.K + 63) / 64;
  const std::int64_t in_span = 3 * b.C - s;
  const float* weight = b.weight + 3 * s * b.K;
  for (std::int64_t pixel = 0; pixel < b.rows * b.columns; ++pixel) {
    float* window = b.dx + pixel / b.columns * 2 * row + pixel % b.columns * 2 * b.C + s;
    for (std::int64_t place = 0; place < 4; ++place) {
      Vector sums[3][V];
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) sums[r][v] = hn::Zero(d);
      }
      for (std::int64_t word = 0; word < words; ++word) {
        const float* gradient = b.gradient + pixel * b.channels + word * 64;
        const float* weights = weight + word * 64 * 3 * V * kLanes;
        for (std::uint64_t left = b.winners[(pixel * 4 + place) * words + word]; left != 0; left &= left - 1) {
          const int k = std::countr_zero(left);
          const Vector factor = hn::Set(d, gradient[k]);
          const float* w = weights + k * 3 * V * kLanes;
#pragma GCC unroll 3
          for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
            for (int v = 0; v < V; ++v) sums[r][v] = hn::MulAdd(factor, hn::Load(d, w + (r * V + v) * kLanes), sums[r][v]);
          }
        }
      }
      float* to = window + place / 2 * row + place % 2 * b.C;
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
#pragma GCC unroll 3
        for (int v = 0; v < V; ++v) {
          if (in_span < (v + 1) * kLanes) {
            const auto count = static_cast<std::size_t>(std::max<std::int64_t>(0, in_span - v * kLanes));
            sums[r][v] = hn::IfThenElseZero(hn::FirstN(d, count), sums[r][v]);
          }
          float* at = to + r * row + v * kLanes;
          hn::StoreU(hn::Add(hn::LoadU(d, at), sums[r][v]), d, at);
        }
      }
    }
  }
}

/// weight: [K][3][3 C], to the parts of spans: [parts][K][3][floats of the part], zeros behind 3 C.
void pack_spans(const float* weight, std::int64_t K, std::int64_t C, std::int64_t span, float* to) {
  for_parts(span, [&](auto vectors, std::int64_t s) {
    const std::int64_t width = vectors * kLanes, count = std::min(width, 3 * C - s);
    for (std::int64_t line = 0; line < 3 * K; ++line, to += width) {
      std::copy_n(weight + line * 3 * C + s, count, to);
      std::fill_n(to + count, width - count, 0.0F);
    }
  });
}

void backward_band(const BackwardBand& b) {
  find_gradients(b);
  for_parts(b.span, [&](auto vectors, std::int64_t s) HWY_ATTR { add_weight_gradients<decltype(vectors)::value>(b, s); });
  if (!b.winners) return;
  const std::int64_t words = (b.K + 63) / 64;
  for (std::int64_t pixel = 0; pixel < b.rows * b.columns; ++pixel) {
    for (std::int64_t word = 0; word < words; ++word) {
      find_winners(b.place + pixel * b.K + word * 64, std::min<std::int64_t>(64, b.K - word * 64),
                   b.winners + pixel * 4 * words + word, words);
    }
  }
  for_parts(b.span, [&](auto vectors, std::int64_t s) HWY_ATTR { add_data_gradients<decltype(vectors)::value>(b, s); });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(pack_spans);
HWY_EXPORT(backward_band);

namespace cpu {
namespace {

/// Copies rows of dx that no later band adds to from a band to the image, and moves the two that it shares with the next to its
/// start. Padded row 0 of the band is image row `first`.
void take_rows(const PooledConv& conv, float* band, std::int64_t band_rows, std::int64_t first, bool last_band, float* image) {
  const std::int64_t row = conv.padded_row(), width = std::min(conv.W, 2 * conv.columns + 1) * conv.C;
  const std::int64_t done = 2 * band_rows + (last_band ? 2 : 0);
  for (std::int64_t r = 0; r < done; ++r) {
    const std::int64_t h = first + r;
    if (h >= 0 && h < conv.H) std::copy_n(band + r * row + conv.C, width, image + h * conv.W * conv.C);
  }
  if (last_band) return;
  std::copy_n(band + done * row, 2 * row, band);
}

/// Sums over shards, in order: shard s has [K][3][span], then [K] for the bias.
void add_shards(const float* sums, std::int64_t shards, std::int64_t stride, const PooledConv& conv, std::int64_t span,
                Conv2dPlan::Accumulate accumulate, float* dweight, float* dbias) {
  const auto sum = [&](const float* first, std::int64_t count, bool more, float* to) {
    for (std::int64_t shard = 0; shard < shards; ++shard) {
      const float* from = first + shard * stride;
      for (std::int64_t i = 0; i < count; ++i) to[i] = shard > 0 || more ? to[i] + from[i] : from[i];
    }
    if (shards == 0 && !more) std::fill_n(to, count, 0.0F);
  };
  parallel_ranges(3 * conv.K, std::max<std::int64_t>(1, 1024 / (3 * conv.C)), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t line = first; line < last; ++line)
      sum(sums + line * span, 3 * conv.C, accumulate.dweight, dweight + line * 3 * conv.C);
  });
  if (dbias) sum(sums + 3 * conv.K * span, conv.K, accumulate.dbias, dbias);
}

}  // namespace

void conv2d_relu_pool_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& place,
                               Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias, Tensor& dx) {
  const PooledConv conv(x, dy);
  const std::int64_t span = round_up(3 * conv.C, kVector), channels = round_up(conv.K, kVector), words = (conv.K + 63) / 64;
  const std::int64_t band_rows = conv.band_rows(), pixels = band_rows * conv.columns, buffer = conv.padded_band(band_rows);
  const std::int64_t sums = round_up(3 * conv.K * span + channels, kVector);
  const Shards shards(conv.N);
  const int threads = num_threads();
  // A thread's memory: floats, then words of 8 bytes for the winners.
  const std::int64_t floats = buffer + pixels * channels * 2 + (dx.defined() ? buffer : 0);
  const std::int64_t bytes = 4 * floats + round_up(dx.defined() ? pixels * 4 * words * 8 : 0, 64);
  Tensor shard_sums = Tensor::empty({shards.count(), sums}), memory = Tensor::empty({threads, bytes}, DType::u8);
  Tensor packed = dx.defined() ? Tensor::empty({3 * conv.K * span}) : Tensor{};
  if (dx.defined()) HWY_DYNAMIC_DISPATCH(pack_spans)(weight.data<float>(), conv.K, conv.C, span, packed.data<float>());
  const std::int64_t image = conv.H * conv.W * conv.C, line = conv.columns * conv.K;
  parallel_for(shards.count(), threads, [&](std::int64_t shard, int thread) {
    const FlushSubnormals flush;
    float* const sum = shard_sums.data<float>() + shard * sums;
    float* const padded = reinterpret_cast<float*>(memory.bytes() + thread * bytes);
    float* const gradient = padded + buffer;
    float* const start = gradient + pixels * channels;
    float* const back = start + pixels * channels;
    std::fill_n(sum, sums, 0.0F);
    std::fill_n(padded, buffer, 0.0F);
    BackwardBand band{};
    band.C = conv.C;
    band.K = conv.K;
    band.columns = conv.columns;
    band.span = span;
    band.channels = channels;
    band.gradient = gradient;
    band.start = reinterpret_cast<std::int32_t*>(start);
    band.x = padded;
    band.dweight = sum;
    band.dbias = sum + 3 * conv.K * span;
    if (dx.defined()) {
      band.weight = packed.data<float>();
      band.dx = back;
      band.winners = reinterpret_cast<std::uint64_t*>(back + buffer);
    }
    for (std::int64_t n = shards.first(shard); n < shards.last(shard); ++n) {
      std::fill_n(back, dx.defined() ? 2 * conv.padded_row() : 0, 0.0F);
      for (std::int64_t first = 0; first < conv.rows; first += band_rows) {
        const std::int64_t last = std::min(first + band_rows, conv.rows), from = (n * conv.rows + first) * line;
        band.rows = last - first;
        band.dy = dy.data<float>() + from;
        band.place = place.data<std::uint8_t>() + from;
        if (last == conv.rows && n + 1 < conv.N) {
          band.next[0] = Prefetch(x.data<float>() + (n + 1) * image, image);
          band.next[1] = Prefetch(dy.data<float>() + (n + 1) * conv.rows * line, conv.rows * line);
          band.next[2] = Prefetch(place.data<std::uint8_t>() + (n + 1) * conv.rows * line, conv.rows * line);
        }
        if (dx.defined()) band.next[3] = Prefetch(dx.data<float>() + n * image, image);
        conv.pad(x.data<float>() + n * image, first, last, padded);
        if (dx.defined()) std::fill_n(back + 2 * conv.padded_row(), 2 * band.rows * conv.padded_row(), 0.0F);
        HWY_DYNAMIC_DISPATCH(backward_band)(band);
        if (dx.defined()) take_rows(conv, back, band.rows, 2 * first - 1, last == conv.rows, dx.data<float>() + n * image);
      }
    }
  });
  float* const dbiases = dbias.defined() ? dbias.data<float>() : nullptr;
  add_shards(shard_sums.data<float>(), shards.count(), sums, conv, span, accumulate, dweight.data<float>(), dbiases);
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
