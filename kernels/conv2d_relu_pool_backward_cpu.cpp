#include <gpucnn/kernels/conv2d_relu_pool_cpu.h>

#include <gpucnn/core/flush_subnormals.h>
#include <gpucnn/core/parallel.h>
#include <gpucnn/kernels/conv2d.h>
#include <gpucnn/kernels/shards.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/conv2d_relu_pool_backward_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/winner_gradients-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

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
