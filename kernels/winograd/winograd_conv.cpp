#include <gpucnn/kernels/winograd/winograd_conv.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/activation/activation_block.h>
#include <gpucnn/kernels/winograd/winograd_split.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/winograd/winograd_conv.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/max_abs-inl.h>
#include <gpucnn/kernels/winograd/pack_weights-inl.h>
#include <gpucnn/kernels/winograd/tap_products-inl.h>
#include <gpucnn/kernels/winograd/tile_products-inl.h>

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(winograd_patches);
HWY_EXPORT(winograd_products);
HWY_EXPORT(tap_products);
HWY_EXPORT(most_tap_tiles);
HWY_EXPORT(direct_tile);
HWY_EXPORT(pack_winograd_panel);
HWY_EXPORT(max_abs);

namespace cpu {
namespace {

/// The epilogue of a tile's pixels.
void finish_tile(const WinogradTiles& all, const TilePlace& at) {
  const std::int64_t count = std::min<std::int64_t>(2, all.W - at.j) * all.K;
  for (std::int64_t i = at.i; i < std::min(at.i + 2, all.H); ++i) {
    const std::int64_t first = ((at.n * all.H + i) * all.W + at.j) * all.K;
    float* const y = all.y + first;
    for (std::int64_t c = 0; all.addend && c < count; ++c) y[c] += all.addend[first + c];
    activation_block(all.epilogue, y, count);
    for (std::int64_t c = 0; all.relu_made && c < count; ++c) y[c] = all.relu_made[first + c] <= 0 ? 0.0F : y[c];
  }
}

/// The epilogue of tiles side by side, row by row, where it is not done yet.
void finish_tiles(const WinogradTiles& all, std::int64_t first, std::int64_t last) {
  if (all.epilogue.kind == Activation::none || all.epilogue.kind == Activation::relu) return;
  for (std::int64_t tile = first, length; tile < last; tile += length) {
    const TilePlace at(all, tile);
    length = std::min(last - tile, all.columns() - at.j / 2);
    const std::int64_t columns = std::min(2 * length, all.W - at.j);
    for (std::int64_t i = at.i; i < std::min(at.i + 2, all.H); ++i) {
      activation_block(all.epilogue, all.y + ((at.n * all.H + i) * all.W + at.j) * all.K, columns * all.K);
    }
  }
}

/// Fills `all.direct`.
void compute(const WinogradTiles& all) {
  const WinogradSplit split(all);
  const int threads = num_threads();
  const ThreadMemory layout(split, all.C);
  const std::int64_t size = layout.size(), panel_size = 16 * tap_size(all.C);
  Tensor memory = Tensor::empty({threads, size});
  float* const data = memory.data<float>();
  for (int thread = 0; thread < threads; ++thread) layout.at(data + thread * size).first() = -1;
  parallel_for(split.tasks(), threads, [=](std::int64_t task, int thread) {
    const std::int64_t first = task / split.panels() * split.grain, count = std::min(split.grain, split.tiles - first);
    const std::int64_t k = task % split.panels() * split.channels;
    const ThreadMemory own = layout.at(data + thread * size);
    if (std::exchange(own.first(), first) != first) {
      HWY_DYNAMIC_DISPATCH(winograd_patches)(all, own.patches, first, count, own.direct());
    }
    if (k == 0) std::copy_n(own.direct(), count, all.direct + first);
    if (split.packs) {
      HWY_DYNAMIC_DISPATCH(pack_winograd_panel)(all.raw, all.C, all.K, all.exchanged, true, k / kPanel, own.weights());
    }
    const std::int64_t panel = k / kPanel, end = std::min(k + split.channels, all.K);
    if (all.taps) {
      const float* const taps = all.taps + panel * all.C * kInputTaps;
      HWY_DYNAMIC_DISPATCH(tap_products)(all, own.patches, first, count, taps, k, end, own.products());
    } else {
      const float* const weights = split.packs ? own.weights() : all.transforms + panel * panel_size;
      HWY_DYNAMIC_DISPATCH(winograd_products)(all, own.patches, first, count, weights, k, end, own.products());
    }
    if (split.channels == all.K) finish_tiles(all, first, first + count);
  });
  if (split.channels != all.K) finish_tiles(all, 0, split.tiles);
}

/// Into `packed`, whose memory is made where there is none.
void pack_all(const Tensor& weight, std::int64_t C, std::int64_t K, bool exchanged, bool transformed, Tensor& packed) {
  if (!packed.defined()) packed = Tensor::empty({packed_size(transformed ? 16 : 9, C, K)});
  const float* const from = weight.data<float>();
  float* const to = packed.data<float>();
  const std::int64_t panel_size = (transformed ? 16 : 9) * tap_size(C);
  parallel_for(parts(K, kPanel), [=](std::int64_t panel) {
    HWY_DYNAMIC_DISPATCH(pack_winograd_panel)(from, C, K, exchanged, transformed, panel, to + panel * panel_size);
  });
}

}  // namespace

bool winograd_pays(const Shape& x, std::int64_t K) {
  constexpr std::int64_t kMinChannels = 16, kMaxChannels = 1024;  // fewer do not pay, sums of more are not exact enough
  if (std::min(x[1], K) < kMinChannels || std::max(x[1], K) > kMaxChannels) return false;
  const std::int64_t products = 16 * ((x[2] + 1) / 2) * ((x[3] + 1) / 2);
  return 5 * products <= 4 * 9 * x[2] * x[3];
}

WinogradConv::WinogradConv(const Shape& x, const Shape& y, bool exchanged)
    : N_(x[0]), C_(x[1]), K_(y[1]), H_(x[2]), W_(x[3]), exchanged_(exchanged) {
  const std::int64_t tiles = N_ * ((H_ + 1) / 2) * ((W_ + 1) / 2);
  keeps_taps_ = tiles <= std::min(HWY_DYNAMIC_DISPATCH(most_tap_tiles)(), K_);
}

bool WinogradConv::pack(const Tensor& weight, const float* bias, WinogradTiles& all) {
  if (!zeros_.defined()) {
    bias_ = Tensor::zeros({round_up(K_, kPanel)});
    zeros_ = Tensor::zeros({W_, C_});
  }
  if (bias) std::copy_n(bias, K_, bias_.data<float>());
  all.zeros = std::as_const(zeros_).data<float>();
  all.bias = std::as_const(bias_).data<float>();
  const bool is_new = !seen_.are_those_of(weight);
  if (is_new) {
    packed_ = false;
    seen_.forget();
    range_ = filter_range(weight.data<float>(), weight.dim(0), 9, weight.dim(1), exchanged_);
    seen_.note(weight);
  }
  if (!range_.even || !std::isfinite(range_.largest)) return false;
  // Weights that are new, as in each step of a training, may be gone before a second call.
  if (is_new && WinogradSplit::may_pack(all)) {
    all.raw = weight.data<float>();
    return true;
  }
  if (!packed_) pack_all(weight, C_, K_, exchanged_, !keeps_taps_, weights_);
  packed_ = true;
  (keeps_taps_ ? all.taps : all.transforms) = std::as_const(weights_).data<float>();
  return true;
}

bool WinogradConv::run(const Tensor& x, const Tensor& weight, const float* bias, const WinogradEpilogue& epilogue, Tensor& y) {
  // Outputs are sums of up to 9 sums of C products; each has one of 4 inputs and at most 9/4 of the largest weight.
  constexpr float kLargest = std::numeric_limits<float>::max() / 4, kMaxInput = 1e18F;  // whose square is finite
  if (bias && !(HWY_DYNAMIC_DISPATCH(max_abs)(bias, K_) <= kLargest / 9)) return false;
  WinogradTiles all{.N = N_, .C = C_, .K = K_, .H = H_, .W = W_, .x = x.data<float>(), .y = y.data<float>()};
  all.exchanged = exchanged_;
  if (!pack(weight, bias, all)) return false;
  const float max_input = std::min(kMaxInput, kLargest / 81 / static_cast<float>(C_) / std::max(range_.largest, 1e-10F));
  all.max_energy = max_input * max_input;
  all.epilogue = epilogue.activation;
  all.addend = epilogue.addend;
  all.relu_made = epilogue.relu_made;
  if (all.epilogue.kind == Activation::relu) all.floor = 0;
  Tensor direct = Tensor::empty({all.tiles()}, DType::u8);
  all.direct = direct.data<std::uint8_t>();
  compute(all);
  if (!std::memchr(all.direct, 1, static_cast<std::size_t>(all.tiles()))) return true;
  Tensor taps;
  if (!all.taps) {
    pack_all(weight, C_, K_, exchanged_, false, taps);
    all.taps = std::as_const(taps).data<float>();
  }
  parallel_ranges(all.tiles(), kTileUnit, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t tile = first; tile < last; ++tile) {
      if (!all.direct[tile]) continue;
      HWY_DYNAMIC_DISPATCH(direct_tile)(all, tile);
      finish_tile(all, {all, tile});
    }
  });
  return true;
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
