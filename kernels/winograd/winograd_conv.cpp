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

HWY_EXPORT(winograd_tiles);
HWY_EXPORT(direct_tile);
HWY_EXPORT(pack_winograd_panel);
HWY_EXPORT(max_abs);

namespace cpu {
namespace {

/// Tiles of a task: as many as keep the transformed patches in the L2 cache, and at least as many as make reading the weights pay.
/// Few tiles are split for the threads. A multiple of every micro-kernel's.
std::int64_t tiles_of_task(std::int64_t tiles, std::int64_t C) {
  constexpr std::int64_t kUnit = 12, kPatchFloats = 12288, kMin = 48, kMax = 240, kMinTasks = 8;
  const std::int64_t best = std::clamp(kPatchFloats / C, kMin, kMax);
  return round_up(std::min(best, (tiles + kMinTasks - 1) / kMinTasks), kUnit);
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

Tensor packed(const Tensor& weight, std::int64_t C, std::int64_t K, bool exchanged, bool transformed) {
  Tensor result = Tensor::empty({packed_size(transformed ? 16 : 9, C, K)});
  const float* const from = weight.data<float>();
  float* const to = result.data<float>();
  parallel_for((K + kPanel - 1) / kPanel, [=](std::int64_t panel) {
    HWY_DYNAMIC_DISPATCH(pack_winograd_panel)(from, C, K, exchanged, transformed, panel, to);
  });
  return result;
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
  const float* const from = weight.data<float>();
  const auto count = static_cast<std::size_t>(weight.numel());
  if (!seen_.defined()) {
    bias_ = Tensor::zeros({round_up(K_, kPanel)});
    zeros_ = Tensor::zeros({C_});
  }
  if (bias) std::copy_n(bias, K_, bias_.data<float>());
  if (seen_.defined() && std::memcmp(std::as_const(seen_).data<float>(), from, count * sizeof(float)) == 0)
    return std::isfinite(max_weight_);
  if (!seen_.defined()) seen_ = Tensor::empty({weight.numel()});
  std::copy_n(from, count, seen_.data<float>());
  max_weight_ = HWY_DYNAMIC_DISPATCH(max_abs)(from, weight.numel());
  if (!std::isfinite(max_weight_)) return false;
  transforms_ = packed(weight, C_, K_, exchanged_, true);
  return true;
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
  const std::int64_t tiles = all.tiles(), grain = tiles_of_task(tiles, C_), scratch = TaskScratch(grain, C_).size();
  const int threads = num_threads();
  Tensor memory = Tensor::empty({threads, scratch}), direct = Tensor::empty({tiles}, DType::u8);
  all.direct = direct.data<std::uint8_t>();
  float* const all_memory = memory.data<float>();
  parallel_for((tiles + grain - 1) / grain, threads, [=](std::int64_t task, int thread) {
    const std::int64_t first = task * grain, last = std::min(first + grain, tiles);
    HWY_DYNAMIC_DISPATCH(winograd_tiles)(all, first, last - first, grain, all_memory + thread * scratch);
    finish_tiles(all, first, last);
  });
  if (!std::memchr(all.direct, 1, static_cast<std::size_t>(tiles))) return true;
  const Tensor weights = packed(weight, C_, K_, exchanged_, false);
  all.weights = weights.data<float>();
  parallel_for((tiles + grain - 1) / grain, [=](std::int64_t task) {
    for (std::int64_t tile = task * grain; tile < std::min((task + 1) * grain, tiles); ++tile) {
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
