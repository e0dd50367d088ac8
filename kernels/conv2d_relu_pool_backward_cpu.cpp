#include <gpucnn/kernels/conv2d_relu_pool_cpu.h>

#include <iterator>

#include <gpucnn/core/flush_subnormals.h>
#include <gpucnn/core/parallel.h>
#include <gpucnn/kernels/conv2d.h>
#include <gpucnn/kernels/shard_sums.h>
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
    const std::int64_t width = vectors * kLanes, count = std::clamp<std::int64_t>(3 * C - s, 0, width);
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

/// What the tasks of a backward pass share, in one piece: another core fetches it line by line.
struct BackwardPass {
  PooledConv conv;
  Shards shards;  // of images
  std::int64_t span, channels, band_rows, buffer, sums;
  const float *x, *dy;
  const std::uint8_t* place;
  float* shard_sums;    // [shards][sums]: [K][3][span], then [channels] for the bias
  std::byte* memory;    // [threads][scratch()]
  const float* weight;  // as BackwardBand's
  float* dx;            // null: not wanted

  /// Bytes of a thread's memory: floats, then the words of the winners.
  std::int64_t scratch() const {
    const std::int64_t pixels = band_rows * conv.columns;
    const std::int64_t floats = buffer + 2 * pixels * channels + (dx ? buffer : 0);
    return 4 * floats + round_up(dx ? pixels * 4 * words() * 8 : 0, 64);
  }

  void operator()(std::int64_t shard, int thread) const {
    const FlushSubnormals flush;
    const std::int64_t pixels = band_rows * conv.columns;
    float* const sum = shard_sums + shard * sums;
    float* const padded = reinterpret_cast<float*>(memory + thread * scratch());
    float* const gradient = padded + buffer;
    float* const start = gradient + pixels * channels;
    float* const back = start + pixels * channels;
    std::fill_n(sum, sums, 0.0F);
    std::fill_n(padded, buffer, 0.0F);
    BackwardBand band{.C = conv.C,
                      .K = conv.K,
                      .rows = 0,
                      .columns = conv.columns,
                      .span = span,
                      .channels = channels,
                      .dy = nullptr,
                      .place = nullptr,
                      .gradient = gradient,
                      .start = reinterpret_cast<std::int32_t*>(start),
                      .winners = dx ? reinterpret_cast<std::uint64_t*>(back + buffer) : nullptr,
                      .x = padded,
                      .dweight = sum,
                      .dbias = sum + 3 * conv.K * span,
                      .weight = weight,
                      .dx = back,
                      .next = {}};
    for (std::int64_t n = shards.first(shard); n < shards.last(shard); ++n) image(n, band, padded, back);
  }

 private:
  std::int64_t words() const { return (conv.K + 63) / 64; }

  /// Image n; its padded input and gradient of the input go through `padded` and `back`, band by band.
  void image(std::int64_t n, BackwardBand& band, float* padded, float* back) const {
    const std::int64_t size = conv.H * conv.W * conv.C, line = conv.columns * conv.K, row = conv.padded_row();
    if (dx) std::fill_n(back, 2 * row, 0.0F);
    for (std::int64_t first = 0; first < conv.rows; first += band_rows) {
      const std::int64_t last = std::min(first + band_rows, conv.rows), from = (n * conv.rows + first) * line;
      const bool at_end = last == conv.rows;
      std::fill(std::begin(band.next), std::end(band.next), Prefetch());
      band.rows = last - first;
      band.dy = dy + from;
      band.place = place + from;
      if (at_end && n + 1 < conv.N) {
        const std::int64_t next = (n + 1) * conv.rows * line, count = conv.rows * line;
        band.next[0] = Prefetch(x + (n + 1) * size, size);
        band.next[1] = Prefetch(dy + next, count);
        band.next[2] = Prefetch(place + next, count);
      }
      if (dx && first == 0) band.next[3] = Prefetch(dx + n * size, size);
      conv.pad(x + n * size, first, last, padded);
      if (dx) std::fill_n(back + 2 * row, 2 * band.rows * row, 0.0F);
      HWY_DYNAMIC_DISPATCH(backward_band)(band);
      if (dx) take_rows(conv, back, band.rows, 2 * first - 1, at_end, dx + n * size);
    }
  }
};

}  // namespace

void conv2d_relu_pool_backward(const Tensor& x, const Tensor& weight, const Tensor& dy, const Tensor& place,
                               Conv2dPlan::Accumulate accumulate, Tensor& dweight, Tensor& dbias, Tensor& dx) {
  const PooledConv conv(x, dy);
  const std::int64_t span = round_up(3 * conv.C, kVector), channels = round_up(conv.K, kVector);
  const int threads = num_threads();
  BackwardPass pass{.conv = conv,
                    .shards = Shards(conv.N),
                    .span = span,
                    .channels = channels,
                    .band_rows = conv.band_rows(),
                    .buffer = conv.padded_band(conv.band_rows()),
                    .sums = 3 * conv.K * span + channels,
                    .x = x.data<float>(),
                    .dy = dy.data<float>(),
                    .place = place.data<std::uint8_t>(),
                    .shard_sums = nullptr,
                    .memory = nullptr,
                    .weight = nullptr,
                    .dx = dx.defined() ? dx.data<float>() : nullptr};
  Tensor shard_sums = Tensor::empty({pass.shards.count(), pass.sums});
  Tensor memory = Tensor::empty({threads, pass.scratch()}, DType::u8);
  Tensor packed = dx.defined() ? Tensor::empty({3 * conv.K * span}) : Tensor{};
  pass.shard_sums = shard_sums.data<float>();
  pass.memory = memory.bytes();
  if (dx.defined()) {
    HWY_DYNAMIC_DISPATCH(pack_spans)(weight.data<float>(), conv.K, conv.C, span, packed.data<float>());
    pass.weight = packed.data<float>();
  }
  parallel_for(pass.shards.count(), threads, pass);
  add_shards(shard_sums);
  for (std::int64_t line = 0; line < 3 * conv.K; ++line) {
    finish(pass.shard_sums + line * span, 3 * conv.C, accumulate.dweight, dweight.data<float>() + line * 3 * conv.C);
  }
  if (dbias.defined()) finish(pass.shard_sums + 3 * conv.K * span, conv.K, accumulate.dbias, dbias.data<float>());
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
