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

/// How a convolution is shared out: a task takes some tiles, and all output channels or a panel of them.
struct Split {
  explicit Split(const WinogradTiles& all) : tiles(all.tiles()), K(all.K) {
    constexpr std::int64_t kMinTasks = 16;
    const std::int64_t best = tiles_of_task(all.C);
    if (tiles > K) {
      grain = std::min(best, round_up(parts(tiles, kMinTasks), kRows));
      channels = K;
    } else {  // weights are more than patches: each is read by one core, once for as many tiles as fit into its cache
      grain = round_up(parts(tiles, parts(tiles, best)), kRows);
      channels = kPanel;
    }
  }
  std::int64_t panels() const { return parts(K, channels); }
  std::int64_t tasks() const { return parts(tiles, grain) * panels(); }

  std::int64_t tiles, K, grain, channels;
};

/// What a thread works in. It keeps the patches of the tiles that it transformed last, for the next panel's task. Other threads
/// transform them again: that takes less time than fetching them from another core's cache.
struct ThreadMemory {
  ThreadMemory(const Split& split, std::int64_t C) : patches(split.grain, C), grain(split.grain) {}
  std::int64_t size() const { return round_up(kVector + patches.size() + 16 * products_of(grain) + grain / 4 + 1, kVector); }
  void begin(float* memory) {
    patches.data = memory + kVector;
    products = patches.data + patches.size();
    direct = reinterpret_cast<std::uint8_t*>(products + 16 * products_of(grain));
    first = reinterpret_cast<std::int64_t*>(memory);
  }

  Patches patches;
  std::int64_t grain;
  float* products = nullptr;
  std::uint8_t* direct = nullptr;  // of the patches
  std::int64_t* first = nullptr;   // their first tile; -1: none yet
};

/// Fills `all.direct`.
void compute(const WinogradTiles& all) {
  const Split split(all);
  const int threads = num_threads();
  const ThreadMemory layout(split, all.C);
  const std::int64_t size = layout.size();
  Tensor memory = Tensor::empty({threads, size});
  float* const data = memory.data<float>();
  for (int thread = 0; thread < threads; ++thread) {
    ThreadMemory own = layout;
    own.begin(data + thread * size);
    *own.first = -1;
  }
  parallel_for(split.tasks(), threads, [=](std::int64_t task, int thread) {
    const std::int64_t first = task / split.panels() * split.grain, count = std::min(split.grain, split.tiles - first);
    const std::int64_t k = task % split.panels() * split.channels;
    ThreadMemory own = layout;
    own.begin(data + thread * size);
    if (std::exchange(*own.first, first) != first) {
      HWY_DYNAMIC_DISPATCH(winograd_patches)(all, own.patches, first, count, own.direct);
    }
    if (k == 0) std::copy_n(own.direct, count, all.direct + first);
    HWY_DYNAMIC_DISPATCH(winograd_products)
    (all, own.patches, first, count, k, std::min(k + split.channels, all.K), own.products);
    if (split.channels == all.K) finish_tiles(all, first, first + count);
  });
  if (split.channels != all.K) finish_tiles(all, 0, split.tiles);
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
                    .floor = epilogue.kind == Activation::relu ? 0.0F : -std::numeric_limits<float>::infinity(),
                    .max_energy = max_input * max_input,
                    .direct = nullptr};
  Tensor direct = Tensor::empty({all.tiles()}, DType::u8);
  all.direct = direct.data<std::uint8_t>();
  compute(all);
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
