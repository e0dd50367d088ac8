#include <gpucnn/kernels/winograd5x5/winograd5x5_weight_grad.h>

#include <algorithm>
#include <atomic>

#include <gpucnn/core/threads/flush_subnormals.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/common/shard_sums.h>
#include <gpucnn/kernels/gemm/term_products.h>
#include <gpucnn/kernels/winograd5x5/transforms5x5.h>

namespace gpucnn::kernels::cpu {
namespace {

constexpr float kMaxEnergy = 1e24F;      // factors of up to 1e12 have products whose sums are finite
constexpr std::int64_t kMaxShards = 16;  // so that a preempted thread's share can be stolen
constexpr std::int64_t kSumOfTile = 5;   // the element that is the sum of a tile's four gradients

}  // namespace

bool Winograd5x5WeightGrad::run(const Tensor& x, const Tensor& dy, bool add_weights, float* dweight, bool add_bias,
                                float* dbias) const {
  const std::int64_t C = grid_.C, K = grid_.K, panels = panels_of(K), panel_floats = kProducts * C * kGemmPanel;
  const std::int64_t row = panels * panel_floats, bias_row = panels * kGemmPanel, outputs = round_up(K, kVector);
  const std::int64_t shards = std::min(kMaxShards, grid_.tasks()), stride = grid_.tiles() * outputs + kVector;
  const std::int64_t patches = kElements * grid_.element(), scratch = patches + kElements * stride;
  const int threads = num_threads();
  const Tensor zero_row = Tensor::zeros({std::max(grid_.width * C, grid_.W * K)});
  Tensor memory = Tensor::empty({threads * scratch}), sums = Tensor::empty({shards, row});
  Tensor bias_sums = Tensor::zeros({2 * shards * bias_row});
  const float *const inputs = x.data<float>(), *const gradients = dy.data<float>(), *const zeros = zero_row.data<float>();
  float *const memories = memory.data<float>(), *const all_sums = sums.data<float>();
  auto* const biases = reinterpret_cast<double*>(bias_sums.bytes());
  std::atomic<bool> fit = true;
  parallel_for(shards, threads, [&](std::int64_t shard, int thread) {
    const FlushSubnormals flush;
    float *const mine = memories + thread * scratch, *const expanded = mine + patches, *const my_sums = all_sums + shard * row;
    const std::int64_t begin = shard * grid_.tasks() / shards, end = (shard + 1) * grid_.tasks() / shards;
    for (std::int64_t number = begin; number < end && fit; ++number) {
      const TileGrid::Task task = grid_[number];
      const std::int64_t tiles = task.images * task.rows * grid_.columns();
      const bool fits = transform_patches(grid_, task, inputs, zeros, kMaxEnergy, mine);
      if (!expand_gradients(grid_, task, gradients, zeros, kMaxEnergy, expanded, stride) || !fits) fit = false;
      for (std::int64_t product = 0, e = 0; e < kElements; ++e) {
        for (const Run& run : grid_.runs(e)) {
          for (std::int64_t panel = 0; panel < panels; ++panel) {
            multiply_terms({.x = mine + e * grid_.element() + run.offset,
                            .x_at = grid_.at(),
                            .dy = expanded + e * stride + panel * kGemmPanel,
                            .dy_at = grid_.gradients(),
                            .pixels = tiles,
                            .terms = run.length,
                            .outputs = std::min(kGemmPanel, outputs - panel * kGemmPanel),
                            .sums = my_sums + panel * panel_floats + product * C * kGemmPanel,
                            .adds = number > begin});
          }
          ++product;
        }
      }
      add_gradients(expanded + kSumOfTile * stride, grid_.gradients(), tiles, K, biases + shard * bias_row);
    }
  });
  if (!fit) return false;
  add_shards(sums);
  const std::int64_t blocks = (C + kVector - 1) / kVector;  // of input channels
  parallel_for(panels * blocks, [=](std::int64_t task) {
    const FlushSubnormals flush;
    const std::int64_t panel = task / blocks, c = task % blocks * kVector;
    finish_window(all_sums + panel * panel_floats, C, K, panel, c, std::min(c + kVector, C), add_weights, dweight);
  });
  for (std::int64_t k = 0; dbias && k < K; ++k) {
    double sum = add_bias ? double{dbias[k]} : 0.0;
    for (std::int64_t shard = 0; shard < shards; ++shard) sum += biases[shard * bias_row + k];
    dbias[k] = static_cast<float>(sum);
  }
  return true;
}

}  // namespace gpucnn::kernels::cpu
