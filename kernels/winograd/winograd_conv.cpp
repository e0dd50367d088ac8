#include <gpucnn/kernels/winograd/winograd_conv.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/activation/activation_block.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/winograd/winograd_conv.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/max_abs-inl.h>
#include <gpucnn/kernels/winograd/pack_weights-inl.h>
#include <gpucnn/kernels/winograd/tile_products-inl.h>

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(winograd_patches);
HWY_EXPORT(winograd_products);
HWY_EXPORT(direct_tile);
HWY_EXPORT(pack_winograd_panel);
HWY_EXPORT(max_abs);

namespace cpu {
namespace {

constexpr std::int64_t kRows = 12;  // of tiles: a multiple of every micro-kernel's

std::int64_t parts(std::int64_t count, std::int64_t size) { return (count + size - 1) / size; }

/// Tiles of a task: as many as keep the transformed patches in the L2 cache, and at least as many as make reading the weights pay.
std::int64_t tiles_of_task(std::int64_t C) {
  constexpr std::int64_t kPatchFloats = 12288, kMin = 48, kMax = 240;
  return round_up(std::clamp(kPatchFloats / C, kMin, kMax), kRows);
}

/// The epilogue of a tile's pixels.
void finish_tile(const WinogradTiles& all, const TilePlace& at) {
  const std::int64_t columns = std::min<std::int64_t>(2, all.W - at.j);
  for (std::int64_t i = at.i; i < std::min(at.i + 2, all.H); ++i) {
    activation_block(all.epilogue, all.y + ((at.n * all.H + i) * all.W + at.j) * all.K, columns * all.K);
  }
}

/// The epilogue of tiles side by side, row by row.
void finish_tiles(const WinogradTiles& all, std::int64_t first, std::int64_t last) {
  if (all.epilogue.kind == Activation::none) return;
  for (std::int64_t tile = first, length; tile < last; tile += length) {
    const TilePlace at(all, tile);
    length = std::min(last - tile, all.columns() - at.j / 2);
    const std::int64_t columns = std::min(2 * length, all.W - at.j);
    for (std::int64_t i = at.i; i < std::min(at.i + 2, all.H); ++i) {
      activation_block(all.epilogue, all.y + ((at.n * all.H + i) * all.W + at.j) * all.K, columns * all.K);
    }
  }
}

/// Many tiles: a task computes all output channels of some, which lie in the core's cache. A batch too small for that many tasks
/// has smaller ones.
void split_tiles(const WinogradTiles& all) {
  constexpr std::int64_t kMinTasks = 8;
  const std::int64_t tiles = all.tiles(), grain = std::min(tiles_of_task(all.C), round_up(parts(tiles, kMinTasks), kRows));
  const int threads = num_threads();
  const Patches layout(grain, all.C);
  const std::int64_t scratch = layout.size() + 16 * products_of(grain);
  Tensor memory = Tensor::empty({threads, scratch});
  float* const all_memory = memory.data<float>();
  parallel_for(parts(tiles, grain), threads, [=](std::int64_t task, int thread) {
    const std::int64_t first = task * grain, last = std::min(first + grain, tiles);
    Patches patches = layout;
    patches.data = all_memory + thread * scratch;
    patches.first = first;
    HWY_DYNAMIC_DISPATCH(winograd_patches)(all, patches, first, last);
    HWY_DYNAMIC_DISPATCH(winograd_products)(all, patches, first, last - first, 0, all.K, patches.data + patches.size());
    finish_tiles(all, first, last);
  });
}

/// Few tiles, whose weights are more than their patches: a task computes a panel of output channels of them. So each weight is
/// read by one core, once for as many tiles as have their patches in its cache.
void split_channels(const WinogradTiles& all) {
  constexpr std::int64_t kPatchFloats = 4096;  // of a task that transforms
  const std::int64_t tiles = all.tiles(), panels = all.panels(), C = all.C;
  const std::int64_t chunks = parts(tiles, tiles_of_task(C)), grain = round_up(parts(tiles, chunks), kRows);
  const int threads = num_threads();
  Patches patches(round_up(tiles, kRows), C);
  const std::int64_t products = 16 * products_of(grain);
  Tensor memory = Tensor::empty({patches.size() + threads * products});
  patches.data = memory.data<float>();
  float* const all_products = patches.data + patches.size();
  parallel_ranges(tiles, std::max<std::int64_t>(1, kPatchFloats / C), [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(winograd_patches)(all, patches, first, last);
  });
  parallel_for(parts(tiles, grain) * panels, threads, [=](std::int64_t task, int thread) {
    const std::int64_t first = task / panels * grain, count = std::min(grain, tiles - first), k = task % panels * kPanel;
    HWY_DYNAMIC_DISPATCH(winograd_products)
    (all, patches, first, count, k, std::min(k + kPanel, all.K), all_products + thread * products);
  });
  finish_tiles(all, 0, tiles);
}

/// Into `packed`, whose memory is made where there is none.
void pack_all(const Tensor& weight, std::int64_t C, std::int64_t K, bool exchanged, bool transformed, Tensor& packed) {
  if (!packed.defined()) packed = Tensor::empty({packed_size(transformed ? 16 : 9, C, K)});
  const float* const from = weight.data<float>();
  float* const to = packed.data<float>();
  parallel_for((K + kPanel - 1) / kPanel, [=](std::int64_t panel) {
    HWY_DYNAMIC_DISPATCH(pack_winograd_panel)(from, C, K, exchanged, transformed, panel, to);
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
    : N_(x[0]), C_(x[1]), K_(y[1]), H_(x[2]), W_(x[3]), exchanged_(exchanged) {}

bool WinogradConv::pack(const Tensor& weight, const float* bias) {
  if (!zeros_.defined()) {
    bias_ = Tensor::zeros({round_up(K_, kPanel)});
    zeros_ = Tensor::zeros({C_});
  }
  if (bias) std::copy_n(bias, K_, bias_.data<float>());
  if (seen_.are_those_of(weight)) return std::isfinite(max_weight_);
  seen_.forget();
  max_weight_ = HWY_DYNAMIC_DISPATCH(max_abs)(weight.data<float>(), weight.numel());
  const bool finite = std::isfinite(max_weight_);
  if (finite) pack_all(weight, C_, K_, exchanged_, true, transforms_);
  seen_.note(weight);
  return finite;
}

bool WinogradConv::run(const Tensor& x, const Tensor& weight, const float* bias, const Activation& epilogue, Tensor& y) {
  // Outputs are sums of up to 9 sums of C products; each has one of 4 inputs and at most 9/4 of the largest weight.
  constexpr float kLargest = std::numeric_limits<float>::max() / 4, kMaxInput = 1e18F;  // whose square is finite
  if (bias && !(HWY_DYNAMIC_DISPATCH(max_abs)(bias, K_) <= kLargest / 9)) return false;
  if (!pack(weight, bias)) return false;
  const float max_input = std::min(kMaxInput, kLargest / 81 / static_cast<float>(C_) / std::max(max_weight_, 1e-10F));
  WinogradTiles all{.N = N_,
                    .C = C_,
                    .K = K_,
                    .H = H_,
                    .W = W_,
                    .x = x.data<float>(),
                    .y = y.data<float>(),
                    .zeros = std::as_const(zeros_).data<float>(),
                    .transforms = std::as_const(transforms_).data<float>(),
                    .weights = nullptr,
                    .bias = std::as_const(bias_).data<float>(),
                    .epilogue = epilogue,
                    .max_energy = max_input * max_input,
                    .direct = nullptr};
  Tensor direct = Tensor::empty({all.tiles()}, DType::u8);
  all.direct = direct.data<std::uint8_t>();
  if (all.tiles() <= K_) {
    split_channels(all);
  } else {
    split_tiles(all);
  }
  if (!std::memchr(all.direct, 1, static_cast<std::size_t>(all.tiles()))) return true;
  Tensor weights;
  pack_all(weight, C_, K_, exchanged_, false, weights);
  all.weights = std::as_const(weights).data<float>();
  parallel_ranges(all.tiles(), kRows, [=](std::int64_t first, std::int64_t last) {
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
