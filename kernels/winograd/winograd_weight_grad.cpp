#include <gpucnn/kernels/winograd/winograd_weight_grad.h>

#include <algorithm>
#include <atomic>

#include <gpucnn/core/threads/flush_subnormals.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/winograd/weight_grad_chunk.h>
#include <gpucnn/kernels/winograd/winograd_conv.h>
#include <gpucnn/kernels/winograd/winograd_tiles.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/winograd/winograd_weight_grad.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/winograd/weight_grad_products-inl.h>

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(transform_tiles);
HWY_EXPORT(add_element);
HWY_EXPORT(add_bias_gradients);
HWY_EXPORT(finish_taps);

namespace cpu {
namespace {

/// Tiles of a chunk: their transforms take 4 MiB, or as much as 128 tiles need.
std::int64_t tiles_of_chunk(std::int64_t tiles, std::int64_t C, std::int64_t K) {
  constexpr std::int64_t kFloats = 1 << 20, kUnit = 128;
  const std::int64_t fit = kFloats / (16 * (C + K)) / kUnit * kUnit;
  return std::min(std::max(fit, kUnit), round_up(tiles, kUnit));
}

}  // namespace

bool winograd_weight_grad_pays(const Shape& x, std::int64_t K) {
  constexpr std::int64_t kMinTiles = 64;  // fewer do not pay for the transforms of the sums
  return winograd_pays(x, K) && x[0] * ((x[2] + 1) / 2) * ((x[3] + 1) / 2) >= kMinTiles;
}

bool WinogradWeightGrad::run(const Tensor& x, const Tensor& dy, Accumulate accumulate, Tensor& dweight, Tensor& dbias) const {
  constexpr float kMaxEnergy = 1e24F;  // factors of up to 1e12 have products whose sums are finite
  const Tensor zeros = Tensor::zeros({std::max(C_, K_)});
  WinogradTiles all{.N = N_, .C = C_, .K = K_, .H = H_, .W = W_, .x = x.data<float>(), .y = nullptr};
  all.zeros = zeros.data<float>();
  all.max_energy = kMaxEnergy;
  const std::int64_t tiles = all.tiles(), blocks = (K_ + kVector - 1) / kVector;
  WeightGradChunk chunk{.C = C_, .K = K_, .capacity = tiles_of_chunk(tiles, C_, K_), .patches = {}, .gradients = {}, .sums = {}};
  Tensor patches = Tensor::empty({16 * chunk.patch_stride()}), gradients = Tensor::empty({16 * chunk.gradient_stride()});
  Tensor sums = Tensor::empty({chunk.sums_size()}), bias_sums = Tensor::zeros({2 * K_});
  chunk.patches = patches.data<float>();
  chunk.gradients = gradients.data<float>();
  chunk.sums = sums.data<float>();
  auto* const biases = reinterpret_cast<double*>(bias_sums.bytes());

  constexpr std::int64_t kGrain = 16;
  std::atomic<bool> fit = true;
  for (; chunk.first < tiles; chunk.first += chunk.count) {
    chunk.count = std::min(chunk.capacity, tiles - chunk.first);
    parallel_for((chunk.count + kGrain - 1) / kGrain, [&](std::int64_t task) {
      const FlushSubnormals flush;
      const std::int64_t begin = task * kGrain, end = std::min(begin + kGrain, chunk.count);
      if (!HWY_DYNAMIC_DISPATCH(transform_tiles)(all, dy.data<float>(), all.zeros, chunk, begin, end)) fit = false;
    });
    if (!fit) return false;
    parallel_for(16 * blocks, [&](std::int64_t task) {
      const FlushSubnormals flush;
      const std::int64_t e = task / blocks, k = task % blocks * kVector;
      HWY_DYNAMIC_DISPATCH(add_element)(chunk, e, k);
      if (e == 0) HWY_DYNAMIC_DISPATCH(add_bias_gradients)(chunk, k, biases);
    });
  }

  float* const to = dweight.data<float>();
  parallel_for(K_, [&](std::int64_t k) {
    const FlushSubnormals flush;
    HWY_DYNAMIC_DISPATCH(finish_taps)(chunk, k, accumulate.dweight, to + k * 9 * C_);
  });
  if (!dbias.defined()) return true;
  float* const bias = dbias.data<float>();
  for (std::int64_t k = 0; k < K_; ++k) bias[k] = static_cast<float>(biases[k] + (accumulate.dbias ? double{bias[k]} : 0.0));
  return true;
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
