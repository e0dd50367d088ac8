#include <gpucnn/kernels/fused/conv2d_relu_pool_cpu.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/common/shards.h>
#include <gpucnn/kernels/copy/round_to_bf16.h>
#include <gpucnn/kernels/copy/transpose.h>
#include <gpucnn/kernels/fused/pooled_conv.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/fused/conv2d_relu_pool_forward_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/fused/direct_conv-inl.h>
#include <gpucnn/kernels/fused/winograd-inl.h>
#include <gpucnn/kernels/simd/max_abs-inl.h>

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(direct_band);
HWY_EXPORT(winograd_band);
HWY_EXPORT(max_abs);

namespace cpu {
namespace {

/// Rows [first, last).
struct Rows {
  std::int64_t first, last;
};

/// A convolution of the chain, in its forward.
struct ForwardConv {
  PooledConv conv;
  std::int64_t band_rows;
  std::int64_t buffer;   // offset in a thread's scratch of its padded input; the first has a band there
  const float* weights;  // as in ForwardBand
  const float* biases;
  const float* transforms;
  float max_input;
  float* x;              // [N][padded image], kept for the backward; null: not wanted, and for the first
  std::uint8_t* argmax;  // null: not wanted

  /// The padded image n.
  float* padded(std::int64_t n, float* memory) const { return x ? x + n * conv.padded_image() : memory + buffer; }
  /// The rows of the convolution before that these rows are computed from.
  Rows needed(const Rows& rows) const {
    return {std::max<std::int64_t>(0, 2 * rows.first - 1), std::min(conv.H, 2 * rows.last + 1)};
  }
};

/// The band by Winograd if that is wanted and all outputs are finite, which inputs up to `max_input` ensure. Otherwise each row by
/// Winograd if its tile is finite, else by the direct convolution. The choice depends on the row's inputs alone, not on which rows
/// are in a band together.
void compute(ForwardBand band, float max_input) {
  const std::int64_t x_row = 2 * padded_row(band.columns, band.C);  // of pooled rows
  const auto finite = [=](const ForwardBand& b) { return HWY_DYNAMIC_DISPATCH(max_abs)(b.x, b.rows * x_row + x_row) <= max_input; };
  band.finite = finite(band);
  if (!band.transformed || max_input < 0) return HWY_DYNAMIC_DISPATCH(direct_band)(band);
  if (band.finite) return HWY_DYNAMIC_DISPATCH(winograd_band)(band);
  const std::int64_t rows = std::exchange(band.rows, 1), argmax_row = band.columns * band.K;
  std::fill(std::begin(band.next), std::end(band.next), Prefetch());
  for (std::int64_t i = 0; i < rows; ++i, band.x += x_row, band.y += band.y_row) {
    band.finite = finite(band);
    band.finite ? HWY_DYNAMIC_DISPATCH(winograd_band)(band) : HWY_DYNAMIC_DISPATCH(direct_band)(band);
    if (band.argmax) band.argmax += argmax_row;
  }
}

/// What the tasks of a forward share. One struct without pointers to more, because another core fetches it line by line. A piece of
/// an image is some rows of the last convolution, with the rows of those before that they are computed from.
struct ForwardPass {
  Shards shards;          // of pieces of images
  std::int64_t pieces;    // of an image
  std::int64_t scratch;   // floats of a thread's scratch
  std::int64_t winograd;  // offset in it of Winograd's scratch
  std::int64_t output;    // offset in it of y before it is flattened; negative: y is not flat
  const float* x;
  float* y;
  float* memory;  // [threads][scratch]
  bool rounds;    // inputs of convolutions, to bf16
  int count;
  std::array<ForwardConv, kMaxConvolutions> convs;

  void operator()(std::int64_t shard, int thread) const {
    float* const mine = memory + thread * scratch;
    std::fill_n(mine + convs[0].buffer, convs[0].conv.padded_band(convs[0].band_rows), 0.0F);
    for (int c = 1; c < count; ++c) {
      if (!at(c).x) at(c).conv.clear_border(mine + at(c).buffer);
    }
    for (std::int64_t i = shards.first(shard); i < shards.last(shard); ++i) piece(i / pieces, i % pieces, mine);
  }

 private:
  const ForwardConv& at(int c) const { return convs[static_cast<std::size_t>(c)]; }

  void piece(std::int64_t n, std::int64_t number, float* mine) const {
    std::array<Rows, kMaxConvolutions> wanted;
    const PooledConv& last = at(count - 1).conv;
    Rows rows{last.rows * number / pieces, last.rows * (number + 1) / pieces};
    for (int c = count; c-- > 0;) rows = at(c).needed(wanted[static_cast<std::size_t>(c)] = rows);
    for (int c = 0; c < count; ++c) {
      rows = wanted[static_cast<std::size_t>(c)];
      const PooledConv& conv = at(c).conv;
      if (c + 1 < count) {
        const PooledConv& next = at(c + 1).conv;
        float* const padded = at(c + 1).padded(n, mine);
        if (at(c + 1).x) next.clear_border(padded);
        float* const to = padded + next.padded_origin() + rows.first * next.padded_row();
        convolve(c, n, rows, mine, to, next.padded_row());
        const std::int64_t floats = (rows.last - rows.first - 1) * next.padded_row() + conv.columns * conv.K;
        if (rounds) round_to_bf16(to, floats, to);
      } else {
        const std::int64_t y_row = conv.columns * conv.K, from = rows.first * y_row;
        float *const result = y + n * conv.rows * y_row, *const to = output < 0 ? result : mine + output;
        convolve(c, n, rows, mine, to + from, y_row);
        if (output < 0) continue;
        transpose(to + from, (rows.last - rows.first) * conv.columns, conv.K, result + rows.first * conv.columns,
                  conv.rows * conv.columns);
      }
    }
  }

  /// Computes these rows of convolution c for image n.
  void convolve(int c, std::int64_t n, const Rows& rows, float* mine, float* to, std::int64_t y_row) const {
    const auto& [conv, band_rows, buffer, weights, biases, transforms, max_input, kept, argmax] = at(c);
    const std::int64_t image = conv.H * conv.W * conv.C, outputs = conv.columns * conv.K;
    ForwardBand band{.C = conv.C,
                     .K = conv.K,
                     .rows = 0,
                     .columns = conv.columns,
                     .x = nullptr,
                     .weight = weights,
                     .bias = biases,
                     .y = to,
                     .y_row = y_row,
                     .argmax = nullptr,
                     .next = {},
                     .finite = false,
                     .transformed = transforms,
                     .memory = mine + winograd};
    for (std::int64_t first = rows.first; first < rows.last; first += band_rows, band.y += band_rows * y_row) {
      band.rows = std::min(band_rows, rows.last - first);
      if (c == 0) {
        conv.pad(x + n * image, first, first + band.rows, mine + buffer);
        if (rounds) round_to_bf16(mine + buffer, conv.padded_band(band.rows), mine + buffer);
        band.x = mine + buffer;
        const bool at_end = first + band.rows == conv.rows;
        band.next[0] = at_end && n + 1 < conv.N ? Prefetch(x + (n + 1) * image, image) : Prefetch();
      } else {
        band.x = at(c).padded(n, mine) + 2 * first * conv.padded_row();
      }
      band.argmax = argmax ? argmax + (n * conv.rows + first) * outputs : nullptr;
      const bool gives = c + 1 == count && pieces == 1 && first == 0;
      band.next[1] = gives ? Prefetch(y + n * conv.rows * outputs, conv.rows * outputs, Prefetch::write) : Prefetch();
      compute(band, max_input);
    }
  }
};

/// Into how many pieces an image is cut. Few images are cut until the threads have equal work, but no piece is so small that waking
/// a thread costs more than it.
std::int64_t pieces_of_image(std::int64_t images, std::int64_t rows, std::int64_t products, int threads) {
  constexpr std::int64_t kMinProducts = 1 << 18, kMaxPerThread = 4;
  const std::int64_t max_pieces = std::max<std::int64_t>(1, std::min(rows, products / kMinProducts));
  std::int64_t pieces = 1;
  while (pieces < max_pieces && images * pieces < kMaxPerThread * threads && images * pieces % threads != 0) ++pieces;
  return pieces;
}

}  // namespace
}  // namespace cpu

float cpu::max_abs(const float* from, std::int64_t count) { return HWY_DYNAMIC_DISPATCH(max_abs)(from, count); }

void cpu::conv2d_relu_pool(std::span<Conv2dReluPool> convolutions, Tensor& y) {
  const int threads = num_threads();
  ForwardPass pass{.shards = Shards(0),
                   .pieces = 1,
                   .scratch = 0,
                   .winograd = 0,
                   .output = -1,
                   .x = std::as_const(convolutions.front().x).data<float>(),
                   .y = y.data<float>(),
                   .memory = nullptr,
                   .rounds = convolutions.front().precision == Precision::bf16,
                   .count = static_cast<int>(convolutions.size()),
                   .convs = {}};
  Shape shape = convolutions.front().x.shape();
  std::int64_t products = 0, winograd = 0;
  for (std::size_t c = 0; c < convolutions.size(); ++c) {
    Conv2dReluPool& given = convolutions[c];
    const PooledConv conv(shape, given.weight.dim(0));
    const Conv2dReluPoolWeights::Packed packed = given.kept->pack(given.weight, given.bias, given.precision);
    const bool kept = given.argmax.defined(), first = c == 0;
    const std::int64_t band_rows = conv.band_rows();
    pass.convs[c] = {.conv = conv,
                     .band_rows = band_rows,
                     .buffer = pass.scratch,
                     .weights = packed.weights,
                     .biases = packed.biases,
                     .transforms = packed.transforms,
                     .max_input = packed.max_input,
                     .x = kept && !first ? given.x.data<float>() : nullptr,
                     .argmax = kept ? given.argmax.data<std::uint8_t>() : nullptr};
    if (first) {
      pass.scratch += conv.padded_band(band_rows);
    } else if (!kept) {
      pass.scratch += conv.padded_image();
    }
    if (packed.transforms) winograd = std::max(winograd, kMaxPatches * 16 * (round_up(conv.C, kVector) + 2 * kVector));
    products += 4 * given.weight.numel() * conv.rows * conv.columns;
    shape = {conv.N, conv.K, conv.rows, conv.columns};
  }
  pass.winograd = pass.scratch;
  pass.scratch += winograd;
  if (y.rank() == 2) {
    pass.output = pass.scratch;
    pass.scratch += round_up(shape.numel() / shape[0], kVector);
  }
  // Pieces of an image share rows of the activations in between. Where these are kept, only one task may write them.
  const bool whole = convolutions.size() > 1 && pass.convs[1].x;
  if (!whole) pass.pieces = pieces_of_image(shape[0], shape[2], products, threads);
  pass.shards = Shards(shape[0] * pass.pieces);  // may depend on the number of threads, since nothing is summed over shards
  Tensor memory = Tensor::empty({threads, pass.scratch});
  pass.memory = memory.data<float>();
  parallel_for(pass.shards.count(), threads, pass);
}

}  // namespace gpucnn::kernels
#endif
