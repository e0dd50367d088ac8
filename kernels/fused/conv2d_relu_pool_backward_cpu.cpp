#include <gpucnn/kernels/fused/conv2d_relu_pool_cpu.h>

#include <array>
#include <iterator>
#include <type_traits>
#include <utility>

#include <gpucnn/core/threads/flush_subnormals.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/common/shard_sums.h>
#include <gpucnn/kernels/common/shards.h>
#include <gpucnn/kernels/copy/round_to_bf16.h>
#include <gpucnn/kernels/copy/transpose.h>
#include <gpucnn/kernels/fused/pooled_conv.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/fused/conv2d_relu_pool_backward_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/fused/data_grad-inl.h>
#include <gpucnn/kernels/fused/weight_grad-inl.h>
#include <gpucnn/kernels/fused/weight_grad_few_channels-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// Calls `body(vectors, s)` for the blocks [s, s + vectors * kLanes) of a span; `vectors` is a constant of 3, 2 or 1.
template <class Body>
HWY_INLINE void for_span_blocks(std::int64_t span, const Body& body) {
  std::int64_t s = 0;
  for (; s + 3 * kLanes <= span; s += 3 * kLanes) body(std::integral_constant<int, 3>(), s);
  for (; s + 2 * kLanes <= span; s += 2 * kLanes) body(std::integral_constant<int, 2>(), s);
  for (; s < span; s += kLanes) body(std::integral_constant<int, 1>(), s);
}

/// Whether dx is summed by whole windows; otherwise by spans.
bool by_windows(std::int64_t C) { return kWide && C % kLanes == 0; }

/// weight: [K][3][3][C]. By windows: [C / kLanes][K][3][3][kLanes]. By spans: [blocks of a span][K][3][floats of the block], zeros
/// behind 3 C.
void pack_for_data(const float* weight, std::int64_t K, std::int64_t C, std::int64_t span, float* to) {
  if (by_windows(C)) {
    for (std::int64_t channel = 0; channel < C; channel += kLanes) {
      for (std::int64_t tap = 0; tap < 9 * K; ++tap, to += kLanes) std::copy_n(weight + tap * C + channel, kLanes, to);
    }
    return;
  }
  for_span_blocks(span, [&](auto vectors, std::int64_t s) {
    const std::int64_t width = vectors * kLanes, count = std::clamp<std::int64_t>(3 * C - s, 0, width);
    for (std::int64_t line = 0; line < 3 * K; ++line, to += width) {
      std::copy_n(weight + line * 3 * C + s, count, to);
      std::fill_n(to + count, width - count, 0.0F);
    }
  });
}

void backward_band(const BackwardBand& b) {
  if (!b.winners && add_few_channels_gradients(b)) return;
  find_gradients(b);
  for_span_blocks(b.span, [&](auto vectors, std::int64_t s) HWY_ATTR { add_weight_gradients<decltype(vectors)::value>(b, s); });
  if (!b.winners) return;
  const std::int64_t words = cpu::mask_words(b.K);
  for (std::int64_t pixel = 0; pixel < b.rows * b.columns; ++pixel) {
    for (std::int64_t word = 0; word < words; ++word) {
      find_winners(b.argmax + pixel * b.K + word * 64, std::min<std::int64_t>(64, b.K - word * 64),
                   b.winners + pixel * 4 * words + word, words);
    }
  }
  if (by_windows(b.C)) return add_window_gradients(b);
  clear_data_gradients(b);
  for_span_blocks(b.span, [&](auto vectors, std::int64_t s) HWY_ATTR { add_data_gradients<decltype(vectors)::value>(b, s); });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(pack_for_data);
HWY_EXPORT(backward_band);

namespace cpu {
namespace {

/// Copies the rows of dx that are complete from a band to the image. The two that it shares with the next band move to its start.
/// Padded row 0 of the band is image row `first`.
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

/// A convolution of the chain, in its backward.
struct BackwardConv {
  PooledConv conv;
  std::int64_t span, channels, band_rows;
  std::int64_t sums;      // offset in a shard's sums of its own: [K][3][span], then [channels] for the bias
  std::int64_t gradient;  // offset in a thread's scratch of the gradient of its padded input; the first has a band there
  const float* x;         // the first's: channels-last memory; the others': [N][padded image]
  const std::uint8_t* argmax;
  const float* weight;  // as in BackwardBand; null: dx is not wanted
};

/// What the tasks of a backward share. One struct without pointers to more, because another core fetches it line by line.
struct BackwardPass {
  Shards shards;                                          // of images
  std::int64_t sums;                                      // floats of a shard
  std::int64_t scratch;                                   // floats of a thread's scratch
  std::int64_t padded, gradient, start, winners, copied;  // offsets in it; copied negative: dy is read where it lies
  bool flat, rounds;                                      // of dy; all that is multiplied, to bf16
  const float* dy;
  float* dx;          // null: not wanted
  float* shard_sums;  // [shards][sums]
  float* memory;      // [threads][scratch]
  int count;
  std::array<BackwardConv, kMaxConvolutions> convs;

  void operator()(std::int64_t shard, int thread) const {
    const FlushSubnormals flush;
    float* const sum = shard_sums + shard * sums;
    float* const mine = memory + thread * scratch;
    std::fill_n(sum, sums, 0.0F);
    std::fill_n(mine + padded, at(0).conv.padded_band(at(0).band_rows), 0.0F);
    for (std::int64_t n = shards.first(shard); n < shards.last(shard); ++n) image(n, sum, mine);
  }

 private:
  const BackwardConv& at(int c) const { return convs[static_cast<std::size_t>(c)]; }

  void image(std::int64_t n, float* sum, float* mine) const {
    const PooledConv& last = at(count - 1).conv;
    const std::int64_t features = last.rows * last.columns * last.K;
    const float* gradients = dy + n * features;
    std::int64_t row = last.columns * last.K;
    if (flat) transpose(gradients, last.K, last.rows * last.columns, mine + copied, last.K);
    if (rounds) round_to_bf16(flat ? mine + copied : gradients, features, mine + copied);
    if (copied >= 0) gradients = mine + copied;
    for (int c = count; c-- > 0;) {
      const BackwardConv& given = at(c);
      // No band before the first has added to its first two rows.
      if (given.weight) std::fill_n(mine + given.gradient, 2 * given.conv.padded_row(), 0.0F);
      convolution(c, n, gradients, row, sum + given.sums, mine);
      float* const inner = mine + given.gradient + given.conv.padded_origin();
      row = given.conv.padded_row();
      if (rounds && c > 0) round_to_bf16(inner, (given.conv.H - 1) * row + given.conv.W * given.conv.C, inner);
      gradients = inner;
    }
  }

  /// Convolution c of image n, band by band; the gradients of its outputs are rows, `dy_row` apart.
  void convolution(int c, std::int64_t n, const float* gradients, std::int64_t dy_row, float* sum, float* mine) const {
    const auto& [conv, span, channels, band_rows, offset, input_gradient, x, argmax, weight] = at(c);
    const std::int64_t line = conv.columns * conv.K, row = conv.padded_row(), size = conv.H * conv.W * conv.C;
    BackwardBand band{.C = conv.C,
                      .K = conv.K,
                      .rows = 0,
                      .columns = conv.columns,
                      .span = span,
                      .channels = channels,
                      .dy = nullptr,
                      .dy_row = dy_row,
                      .argmax = nullptr,
                      .gradient = mine + gradient,
                      .start = reinterpret_cast<std::int32_t*>(mine + start),
                      .winners = weight ? reinterpret_cast<std::uint64_t*>(mine + winners) : nullptr,
                      .x = nullptr,
                      .dweight = sum,
                      .dbias = sum + 3 * conv.K * span,
                      .weight = weight,
                      .dx = nullptr,
                      .next = {}};
    for (std::int64_t first = 0; first < conv.rows; first += band_rows) {
      const std::int64_t last = std::min(first + band_rows, conv.rows), from = (n * conv.rows + first) * line;
      const bool at_end = last == conv.rows;
      band.rows = last - first;
      band.dy = gradients + first * dy_row;
      band.argmax = argmax + from;
      plan_prefetch(c, n, first == 0, at_end, band);
      if (c > 0) {
        band.x = x + n * conv.padded_image() + 2 * first * row;
        band.dx = mine + input_gradient + 2 * first * row;
        HWY_DYNAMIC_DISPATCH(backward_band)(band);
        continue;
      }
      conv.pad(x + n * size, first, last, mine + padded);
      if (rounds) round_to_bf16(mine + padded, conv.padded_band(band.rows), mine + padded);
      band.x = mine + padded;
      band.dx = mine + input_gradient;
      HWY_DYNAMIC_DISPATCH(backward_band)(band);
      if (dx) take_rows(conv, mine + input_gradient, band.rows, 2 * first - 1, at_end, dx + n * size);
    }
  }

  /// Prefetches the next image during this one's last band, and the memory of this one's dx during its first.
  void plan_prefetch(int c, std::int64_t n, bool at_start, bool at_end, BackwardBand& band) const {
    const BackwardConv& given = at(c);
    const PooledConv& conv = given.conv;
    const std::int64_t size = c == 0 ? conv.H * conv.W * conv.C : conv.padded_image(), count_y = conv.rows * conv.columns * conv.K;
    std::fill(std::begin(band.next), std::end(band.next), Prefetch());
    if (at_end && n + 1 < conv.N) {
      band.next[0] = Prefetch(given.x + (n + 1) * size, size);
      band.next[1] = Prefetch(given.argmax + (n + 1) * count_y, count_y);
      if (c + 1 == count) band.next[2] = Prefetch(dy + (n + 1) * count_y, count_y);
    }
    if (c == 0 && dx && at_start) band.next[3] = Prefetch(dx + n * size, size, Prefetch::write);
  }
};

/// Stores or adds the sums over all shards, which are in the first.
void finish_gradients(const BackwardPass& pass, std::span<Conv2dReluPoolGradients> gradients) {
  for (std::size_t c = 0; c < gradients.size(); ++c) {
    auto& [dweight, dbias, accumulate, may_wait] = gradients[c];
    const BackwardConv& done = pass.convs[c];
    const float* const sums = pass.shard_sums + done.sums;
    const std::int64_t width = 3 * done.conv.C;
    for (std::int64_t line = 0; line < 3 * done.conv.K; ++line) {
      finish(sums + line * done.span, width, accumulate.dweight, dweight.data<float>() + line * width);
    }
    if (dbias.defined()) finish(sums + 3 * done.conv.K * done.span, done.conv.K, accumulate.dbias, dbias.data<float>());
  }
}

}  // namespace
}  // namespace cpu

void cpu::conv2d_relu_pool_backward(std::span<const Conv2dReluPool> convolutions, const Tensor& dy,
                                    std::span<Conv2dReluPoolGradients> gradients, Tensor& dx) {
  const int threads = num_threads();
  BackwardPass pass{.shards = Shards(convolutions.front().x.dim(0)),
                    .sums = 0,
                    .scratch = 0,
                    .padded = 0,
                    .gradient = 0,
                    .start = 0,
                    .winners = 0,
                    .copied = -1,
                    .flat = dy.rank() == 2,
                    .rounds = convolutions.front().precision == Precision::bf16,
                    .dy = dy.data<float>(),
                    .dx = dx.defined() ? dx.data<float>() : nullptr,
                    .shard_sums = nullptr,
                    .memory = nullptr,
                    .count = static_cast<int>(convolutions.size()),
                    .convs = {}};
  std::array<Tensor, kMaxConvolutions> packed;
  Shape shape = convolutions.front().x.shape();
  std::int64_t elements = 0, words = 0;  // of the largest band
  for (std::size_t c = 0; c < convolutions.size(); ++c) {
    const Conv2dReluPool& given = convolutions[c];
    const PooledConv conv(shape, given.weight.dim(0));
    const std::int64_t span = round_up(3 * conv.C, kVector), channels = round_up(conv.K, kVector), band_rows = conv.band_rows();
    const bool first = c == 0;
    if (!first || dx.defined()) {
      packed[c] = Tensor::empty({3 * conv.K * span});
      const Tensor weight = pass.rounds ? rounded_to_bf16(given.weight) : given.weight;
      HWY_DYNAMIC_DISPATCH(pack_for_data)(weight.data<float>(), conv.K, conv.C, span, packed[c].data<float>());
    }
    pass.convs[c] = {.conv = conv,
                     .span = span,
                     .channels = channels,
                     .band_rows = band_rows,
                     .sums = pass.sums,
                     .gradient = pass.scratch,
                     .x = given.x.data<float>(),
                     .argmax = given.argmax.data<std::uint8_t>(),
                     .weight = packed[c].defined() ? packed[c].data<float>() : nullptr};
    pass.sums += 3 * conv.K * span + channels;
    if (packed[c].defined()) pass.scratch += first ? conv.padded_band(band_rows) : conv.padded_image();
    elements = std::max(elements, band_rows * conv.columns * channels);
    words = std::max(words, band_rows * conv.columns * 4 * cpu::mask_words(conv.K));
    shape = {conv.N, conv.K, conv.rows, conv.columns};
  }
  const auto reserve = [&pass](std::int64_t floats) {
    return std::exchange(pass.scratch, pass.scratch + round_up(floats, kVector));
  };
  pass.padded = reserve(pass.convs[0].conv.padded_band(pass.convs[0].band_rows));
  pass.gradient = reserve(elements);
  pass.start = reserve(elements);
  pass.winners = reserve(2 * words);
  if (pass.flat || pass.rounds) pass.copied = reserve(shape.numel() / shape[0]);
  Tensor shard_sums = Tensor::empty({pass.shards.count(), pass.sums}), memory = Tensor::empty({threads, pass.scratch});
  pass.shard_sums = shard_sums.data<float>();
  pass.memory = memory.data<float>();
  parallel_for(pass.shards.count(), threads, pass);
  add_shards(shard_sums);
  finish_gradients(pass, gradients);
}

}  // namespace gpucnn::kernels
#endif
