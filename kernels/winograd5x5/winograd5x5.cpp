#include <gpucnn/kernels/winograd5x5/winograd5x5.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <utility>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/activation/activation_block.h>
#include <gpucnn/kernels/gemm/pixel_products.h>
#include <gpucnn/kernels/winograd5x5/transforms5x5.h>

namespace gpucnn::kernels::cpu {
namespace {

/// The element of a patch that is added to all four outputs, so that its products start from the bias.
constexpr std::int64_t kBiasElement = 5;

}  // namespace

bool winograd5x5_pays(const Shape& x, const Shape& y) {
  constexpr std::int64_t kMinChannels = 16, kMaxChannels = 256;  // fewer do not pay, sums of more are not exact enough
  if (std::min(x[1], y[1]) < kMinChannels || std::max(x[1], y[1]) > kMaxChannels) return false;
  // Where padding makes y the larger, direct sums have fewer products than its pixels would tell.
  const std::int64_t tiles = ((y[2] + 1) / 2) * ((y[3] + 1) / 2), pixels = std::min(x[2] * x[3], y[2] * y[3]);
  return 10 * kProducts * tiles <= 7 * 25 * pixels;
}

bool Winograd5x5::pack(const Tensor& weight, const float* bias) {
  const std::int64_t C = grid_.C, K = grid_.K, panels = panels_of(K), panel_floats = kProducts * C * kGemmPanel;
  if (!packed_.defined()) {
    packed_ = Tensor::empty({panels * panel_floats});
    bias_ = Tensor::zeros({panels * kGemmPanel});
    zeros_ = Tensor::zeros({std::max(grid_.width * C, kGemmPanel)});
  }
  if (bias) std::copy_n(bias, K, bias_.data<float>());
  const auto fits = [this] { return range_.even && std::isfinite(range_.largest); };
  if (seen_.are_those_of(weight)) return fits();
  seen_.forget();
  const float* const from = weight.data<float>();
  range_ = filter_range(from, weight.dim(0), 25, weight.dim(1), exchanged_);
  if (fits()) {
    float* const to = packed_.data<float>();
    parallel_for(panels, [=, exchanged = exchanged_](std::int64_t panel) {
      pack_panel(from, C, K, exchanged, panel, to + panel * panel_floats);
    });
  }
  seen_.note(weight);
  return fits();
}

bool Winograd5x5::run(const Tensor& x, const Tensor& weight, const float* bias, const Activation& epilogue, Tensor& y) {
  // Outputs are sums of up to 9 sums of 4 C products; each has one of 4 inputs and at most 9/4 of the largest weight.
  constexpr float kLargest = std::numeric_limits<float>::max() / 4, kMaxInput = 1e18F;  // whose square is finite
  if (bias && !(largest_magnitude(bias, grid_.K) <= kLargest / 9)) return false;
  if (!pack(weight, bias)) return false;
  const float max_input = std::min(kMaxInput, kLargest / 324 / static_cast<float>(grid_.C) / std::max(range_.largest, 1e-10F));
  const float floor = epilogue.kind == Activation::relu ? 0 : -std::numeric_limits<float>::infinity();
  const std::int64_t stride = grid_.tiles() * kGemmPanel + kVector, patches = kElements * grid_.element();
  const std::int64_t scratch = patches + kElements * stride;
  const int threads = num_threads();
  Tensor memory = Tensor::empty({threads * scratch});
  const float *const from = x.data<float>(), *const zeros = std::as_const(zeros_).data<float>();
  const float *const weights = std::as_const(packed_).data<float>(), *const biases = std::as_const(bias_).data<float>();
  float *const to = y.data<float>(), *const memories = memory.data<float>();
  std::atomic<bool> fit = true;
  parallel_for(grid_.tasks(), threads, [&, to](std::int64_t number, int thread) {
    const TileGrid::Task task = grid_[number];
    float *const mine = memories + thread * scratch, *const products = mine + patches;
    if (!transform_patches(grid_, task, from, zeros, max_input * max_input, mine)) fit = false;
    if (!fit) return;
    for (std::int64_t k = 0; k < grid_.K; k += kGemmPanel) {
      const std::int64_t end = std::min(k + kGemmPanel, grid_.K);
      for (std::int64_t e = 0; e < kElements; ++e) {
        const std::int64_t terms = WindowPieces::products_of(e) * grid_.C;
        multiply_pixels(
            {.x = mine + e * grid_.element(),
             .x_at = grid_.at(),
             .even = grid_.even(),
             .y = products + e * stride,
             .y_at = grid_.products(),
             .pixels = task.images * task.rows * grid_.columns(),
             .runs = grid_.runs(e).data(),
             .terms = terms,
             .weights = weights + (k / kGemmPanel * kProducts + WindowPieces::products_before(e)) * grid_.C * kGemmPanel,
             .bias = e == kBiasElement ? biases + k : zeros,
             .first = 0,
             .last = round_up(end - k, kVector)});
      }
      finish_products(grid_, task, products, stride, k, end, floor, to);
    }
    if (epilogue.kind != Activation::none && epilogue.kind != Activation::relu) {
      const std::int64_t row = grid_.W * grid_.K, first = 2 * task.row, last = std::min(first + 2 * task.rows, grid_.H);
      for (std::int64_t n = task.image; n < task.image + task.images; ++n) {
        activation_block(epilogue, to + (n * grid_.H + first) * row, (last - first) * row);
      }
    }
  });
  return fit;
}

}  // namespace gpucnn::kernels::cpu
