#include <gpucnn/kernels/fused/conv2d_relu_pool_cpu.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/common/shards.h>
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

/// A convolution of a forward pass.
struct ForwardConv {
  PooledConv conv;
  std::int64_t band_rows;
  std::int64_t buffer;   // where in a thread's memory its padded input is: of the first, a band of it
  const float* weights;  // as ForwardBand's
  const float* biases;
  const float* transforms;
  float max_input;
  float* x;             // [N][padded image], kept for the backward; null: not wanted, and of the first
  std::uint8_t* place;  // null: not wanted

  /// The padded image n.
  float* padded(std::int64_t n, float* memory) const { return x ? x + n * conv.padded_image() : memory + buffer; }
  /// Of the convolution before it, the rows that these of its own need.
  Rows needed(const Rows& rows) const {
    return {std::max<std::int64_t>(0, 2 * rows.first - 1), std::min(conv.H, 2 * rows.last + 1)};
  }
};

/// The band, which is finite up to inputs of magnitude `max_input`, by the quicker way, or, where Winograd's products cannot serve
/// all of it, row by row by that which serves the row: so it does not depend on what is in a band together.
void compute(ForwardBand band, float max_input) {
  const std::int64_t x_row = 2 * padded_row(band.columns, band.C);  // of pooled rows
  const auto finite = [=](const ForwardBand& b) { return HWY_DYNAMIC_DISPATCH(max_abs)(b.x, b.rows * x_row + x_row) <= max_input; };
  band.finite = finite(band);
  if (!band.transformed || max_input < 0) return HWY_DYNAMIC_DISPATCH(direct_band)(band);
  if (band.finite) return HWY_DYNAMIC_DISPATCH(winograd_band)(band);
  const std::int64_t rows = std::exchange(band.rows, 1), places = band.columns * band.K;
  std::fill(std::begin(band.next), std::end(band.next), Prefetch());
  for (std::int64_t i = 0; i < rows; ++i, band.x += x_row, band.y += band.y_row) {
    band.finite = finite(band);
    band.finite ? HWY_DYNAMIC_DISPATCH(winograd_band)(band) : HWY_DYNAMIC_DISPATCH(direct_band)(band);
    if (band.place) band.place += places;
  }
}

/// What the tasks of a forward pass share, in one piece: another core fetches it line by line. A unit is a piece of an image: some
/// rows of the last convolution, and of those before it what they need.
struct ForwardPass {
  Shards shards;  // of units
  std::int64_t pieces;
  std::int64_t scratch;   // floats of a thread's memory
  std::int64_t winograd;  // where in it Winograd's products have theirs
  std::int64_t output;    // where in it y lies before it is flattened; negative: y is not flat
  const float* x;
  float* y;
  float* memory;  // [threads][scratch]
  int count;
  std::array<ForwardConv, kMostConvolutions> convs;

  void operator()(std::int64_t shard, int thread) const {
    float* const mine = memory + thread * scratch;
    std::fill_n(mine + convs[0].buffer, convs[0].conv.padded_band(convs[0].band_rows), 0.0F);
    for (int c = 1; c < count; ++c) {
      if (!at(c).x) at(c).conv.clear_border(mine + at(c).buffer);
    }
    for (std::int64_t unit = shards.first(shard); unit < shards.last(shard); ++unit) piece(unit / pieces, unit % pieces, mine);
  }

 private:
  const ForwardConv& at(int c) const { return convs[static_cast<std::size_t>(c)]; }

  void piece(std::int64_t n, std::int64_t number, float* mine) const {
    std::array<Rows, kMostConvolutions> wanted;
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
        convolve(c, n, rows, mine, padded + next.padded_origin() + rows.first * next.padded_row(), next.padded_row());
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

  /// Rows of convolution c of image n, to `to`.
  void convolve(int c, std::int64_t n, const Rows& rows, float* mine, float* to, std::int64_t y_row) const {
    const auto& [conv, band_rows, buffer, weights, biases, transforms, max_input, kept, place] = at(c);
    const std::int64_t image = conv.H * conv.W * conv.C, places = conv.columns * conv.K;
    ForwardBand band{.C = conv.C,
                     .K = conv.K,
                     .rows = 0,
                     .columns = conv.columns,
                     .x = nullptr,
                     .weight = weights,
                     .bias = biases,
                     .y = to,
                     .y_row = y_row,
                     .place = nullptr,
                     .next = {},
                     .finite = false,
                     .transformed = transforms,
                     .memory = mine + winograd};
    for (std::int64_t first = rows.first; first < rows.last; first += band_rows, band.y += band_rows * y_row) {
      band.rows = std::min(band_rows, rows.last - first);
      if (c == 0) {
        conv.pad(x + n * image, first, first + band.rows, mine + buffer);
        band.x = mine + buffer;
        const bool at_end = first + band.rows == conv.rows;
        band.next[0] = at_end && n + 1 < conv.N ? Prefetch(x + (n + 1) * image, image) : Prefetch();
      } else {
        band.x = at(c).padded(n, mine) + 2 * first * conv.padded_row();
      }
      band.place = place ? place + (n * conv.rows + first) * places : nullptr;
      const bool gives = c + 1 == count && pieces == 1 && first == 0;
      band.next[1] = gives ? Prefetch(y + n * conv.rows * places, conv.rows * places, Prefetch::write) : Prefetch();
      compute(band, max_input);
    }
  }
};

/// Few images are cut into pieces, until the threads have the same number of them, but not into less than pays for telling a
/// thread.
std::int64_t pieces_of_image(std::int64_t images, std::int64_t rows, std::int64_t products, int threads) {
  constexpr std::int64_t kLeastProducts = 1 << 18, kEnough = 4;
  const std::int64_t most = std::max<std::int64_t>(1, std::min(rows, products / kLeastProducts));
  std::int64_t pieces = 1;
  while (pieces < most && images * pieces < kEnough * threads && images * pieces % threads != 0) ++pieces;
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
                   .count = static_cast<int>(convolutions.size()),
                   .convs = {}};
  Shape shape = convolutions.front().x.shape();
  std::int64_t products = 0, winograd = 0;
  for (std::size_t c = 0; c < convolutions.size(); ++c) {
    Conv2dReluPool& given = convolutions[c];
    const PooledConv conv(shape, given.weight.dim(0));
    const Conv2dReluPoolWeights::Packed packed = given.kept->pack(given.weight, given.bias);
    const bool kept = given.place.defined(), first = c == 0;
    const std::int64_t band_rows = conv.band_rows();
    pass.convs[c] = {.conv = conv,
                     .band_rows = band_rows,
                     .buffer = pass.scratch,
                     .weights = packed.weights,
                     .biases = packed.biases,
                     .transforms = packed.transforms,
                     .max_input = packed.max_input,
                     .x = kept && !first ? given.x.data<float>() : nullptr,
                     .place = kept ? given.place.data<std::uint8_t>() : nullptr};
    if (first) {
      pass.scratch += conv.padded_band(band_rows);
    } else if (!kept) {
      pass.scratch += conv.padded_image();
    }
    if (packed.transforms) winograd = std::max(winograd, kMostPatches * 16 * (round_up(conv.C, kVector) + 2 * kVector));
    products += 4 * given.weight.numel() * conv.rows * conv.columns;
    shape = {conv.N, conv.K, conv.rows, conv.columns};
  }
  pass.winograd = pass.scratch;
  pass.scratch += winograd;
  if (y.rank() == 2) {
    pass.output = pass.scratch;
    pass.scratch += round_up(shape.numel() / shape[0], kVector);
  }
  // Pieces of an image share rows of what lies between convolutions, which only one may write where it is kept.
  const bool whole = convolutions.size() > 1 && pass.convs[1].x;
  if (!whole) pass.pieces = pieces_of_image(shape[0], shape[2], products, threads);
  pass.shards = Shards(shape[0] * pass.pieces);  // nothing is summed over them, so that they may depend on the number of threads
  Tensor memory = Tensor::empty({threads, pass.scratch});
  pass.memory = memory.data<float>();
  parallel_for(pass.shards.count(), threads, pass);
}

}  // namespace gpucnn::kernels
#endif
