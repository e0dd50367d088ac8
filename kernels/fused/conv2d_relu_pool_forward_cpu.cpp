#include <gpucnn/kernels/fused/conv2d_relu_pool_cpu.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/common/shards.h>
#include <gpucnn/kernels/copy/transpose.h>
#include <gpucnn/kernels/fused/conv2d_relu_pool.h>

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
HWY_EXPORT(transform_weights);
HWY_EXPORT(max_abs);

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

/// How large inputs may be for all sums to stay finite, with weights and biases up to these magnitudes. Of Winograd's, the larger
/// ones: B, G and A, each used twice, have rows whose magnitudes add up to 2, 3/2 and 3. Negative if the weights or biases are too
/// large themselves, or not finite.
float max_input(float weight, float bias, std::int64_t C) {
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
  float max_input;                             // magnitude of inputs up to which all sums are finite; negative: none

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
      const auto max_abs = HWY_DYNAMIC_DISPATCH(max_abs);
      kept.max_input_ = cpu::max_input(max_abs(first, channels * taps), max_abs(last, channels), C);
      if (winograd) HWY_DYNAMIC_DISPATCH(transform_weights)(first, K, C, last + channels);
      kept.weight_ = cpu::copy_of(weight);
      kept.bias_ = cpu::copy_of(bias);
      kept.packed_ = packed;
    }
    weights = kept.packed_.data<float>();
    biases = weights + channels * taps;
    transforms = winograd ? biases + channels : nullptr;
    max_input = kept.max_input_;
  }
};

namespace cpu {
namespace {

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

void conv2d_relu_pool(std::span<Conv2dReluPool> convolutions, Tensor& y) {
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
    const Conv2dReluPoolWeights::Parts parts(*given.kept, given.weight, given.bias);
    const bool kept = given.place.defined(), first = c == 0;
    const std::int64_t band_rows = conv.band_rows();
    pass.convs[c] = {.conv = conv,
                     .band_rows = band_rows,
                     .buffer = pass.scratch,
                     .weights = parts.weights,
                     .biases = parts.biases,
                     .transforms = parts.transforms,
                     .max_input = parts.max_input,
                     .x = kept && !first ? given.x.data<float>() : nullptr,
                     .place = kept ? given.place.data<std::uint8_t>() : nullptr};
    if (first) {
      pass.scratch += conv.padded_band(band_rows);
    } else if (!kept) {
      pass.scratch += conv.padded_image();
    }
    if (parts.transforms) winograd = std::max(winograd, kMostPatches * 16 * (round_up(conv.C, kVector) + 2 * kVector));
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

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
