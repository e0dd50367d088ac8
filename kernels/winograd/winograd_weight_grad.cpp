#include <gpucnn/kernels/winograd/winograd_weight_grad.h>

#include <algorithm>
#include <atomic>

#include <gpucnn/core/threads/flush_subnormals.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/winograd/weight_grad_chunk.h>
#include <gpucnn/kernels/winograd/winograd_conv.h>
#include <gpucnn/kernels/winograd/winograd_split.h>
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

/// How the sums are shared out. Where they are small, a shard of the tiles has sums of its own, and its chunks stay in the cache of
/// the core that transforms them. Where they are large, all threads transform a chunk and then each adds to its part of the sums.
struct WeightGradSplit {
  WeightGradSplit(std::int64_t tiles, std::int64_t C, std::int64_t K) {
    constexpr std::int64_t kMaxSums = 1 << 16, kMinTiles = 64, kMaxShards = 16;
    const std::int64_t inputs = round_up(C, kVector), outputs = round_up(K, kVector), sums = 16 * inputs * outputs;
    is_sharded = sums <= kMaxSums;
    shards = is_sharded ? std::clamp<std::int64_t>(tiles / kMinTiles, 1, kMaxShards) : 1;
    const std::int64_t unit = is_sharded ? kVector : kSharedUnit,
                       fit = chunk_floats(sums) / (16 * (inputs + outputs)) / unit * unit;
    capacity = std::min(std::max(fit, unit), round_up((tiles + shards - 1) / shards, unit));
  }

  bool is_sharded;
  std::int64_t shards, capacity;  // capacity: tiles of a chunk

 private:
  static constexpr std::int64_t kSharedUnit = 128;  // tiles, which all threads share out

  /// Of a chunk's transforms. Those of a shard leave room for its sums in the first level cache, or in the second.
  std::int64_t chunk_floats(std::int64_t sums) const {
    constexpr std::int64_t kMaxFirstLevelSums = 1 << 12;
    constexpr std::int64_t kShared = 1 << 20, kSecondLevel = 1 << 16, kFirstLevel = 1 << 13;
    if (!is_sharded) return kShared;
    return sums > kMaxFirstLevelSums ? kSecondLevel : kFirstLevel;
  }
};

/// The sums of a call: all of them, or shards of them side by side.
struct WeightGradSums {
  const WinogradTiles& all;
  const float* dy;
  WeightGradChunk chunk;  // the first one, and the first shard's sums
  double* biases;         // [shards][K]
  std::atomic<bool> fit = true;

  std::int64_t blocks() const { return parts(all.K, kVector); }

  void transform(const WeightGradChunk& of, std::int64_t begin, std::int64_t end) {
    if (!HWY_DYNAMIC_DISPATCH(transform_tiles)(all, dy, of, begin, end)) fit = false;
  }

  /// Adds a chunk's products of element e and a block of output channels.
  void add(const WeightGradChunk& of, std::int64_t e, std::int64_t block, double* shard_biases) const {
    HWY_DYNAMIC_DISPATCH(add_element)(of, e, block * kVector);
    if (e == 0) HWY_DYNAMIC_DISPATCH(add_bias_gradients)(of, block * kVector, shard_biases);
  }

  /// A shard's tiles, by a thread that has a chunk's memory to itself.
  void add_shard(std::int64_t shard, std::int64_t shards, int thread) {
    WeightGradChunk own = chunk;
    own.patches += thread * chunk.patches_size();
    own.gradients += thread * chunk.gradients_size();
    own.sums += shard * chunk.sums_size();
    const std::int64_t tiles = all.tiles(), last = (shard + 1) * tiles / shards;
    for (own.first = shard * tiles / shards; own.first < last && fit; own.first += own.count, own.fresh = false) {
      own.count = std::min(own.capacity, last - own.first);
      transform(own, 0, own.count);
      for (std::int64_t e = 0; e < 16; ++e) {
        for (std::int64_t block = 0; block < blocks(); ++block) add(own, e, block, biases + shard * all.K);
      }
    }
  }

  /// All tiles, chunk by chunk, by all threads.
  void add_all() {
    constexpr std::int64_t kGrain = 16;
    for (; chunk.first < all.tiles() && fit; chunk.first += chunk.count, chunk.fresh = false) {
      chunk.count = std::min(chunk.capacity, all.tiles() - chunk.first);
      parallel_for(parts(chunk.count, kGrain), [&](std::int64_t task) {
        const FlushSubnormals flush;
        transform(chunk, task * kGrain, std::min((task + 1) * kGrain, chunk.count));
      });
      parallel_for(16 * blocks(), [&](std::int64_t task) {
        const FlushSubnormals flush;
        add(chunk, task / blocks(), task % blocks(), biases);
      });
    }
  }
};

}  // namespace

bool winograd_weight_grad_pays(const Shape& x, std::int64_t K) {
  constexpr std::int64_t kMinTiles = 64;  // fewer do not pay for the transforms of the sums
  return winograd_pays(x, K) && x[0] * ((x[2] + 1) / 2) * ((x[3] + 1) / 2) >= kMinTiles;
}

bool WinogradWeightGrad::run(const Tensor& x, const Tensor& dy, Accumulate accumulate, Tensor& dweight, Tensor& dbias) const {
  constexpr float kMaxEnergy = 1e24F;  // factors of up to 1e12 have products whose sums are finite
  const Tensor zeros = Tensor::zeros({W_, std::max(C_, K_)});
  WinogradTiles all{.N = N_, .C = C_, .K = K_, .H = H_, .W = W_, .x = x.data<float>(), .y = nullptr};
  all.zeros = zeros.data<float>();
  all.max_energy = kMaxEnergy;
  const WeightGradSplit split(all.tiles(), C_, K_);
  const int threads = split.is_sharded ? num_threads() : 1;
  WeightGradChunk chunk{.C = C_, .K = K_, .capacity = split.capacity, .patches = {}, .gradients = {}, .sums = {}};
  Tensor patches = Tensor::empty({threads * chunk.patches_size()}), gradients = Tensor::empty({threads * chunk.gradients_size()});
  Tensor all_sums = Tensor::empty({split.shards * chunk.sums_size()}), bias_sums = Tensor::zeros({2 * split.shards * K_});
  chunk.patches = patches.data<float>();
  chunk.gradients = gradients.data<float>();
  chunk.sums = all_sums.data<float>();
  auto* const biases = reinterpret_cast<double*>(bias_sums.bytes());
  WeightGradSums sums{all, dy.data<float>(), chunk, biases};
  if (split.is_sharded) {
    parallel_for(split.shards, threads, [&](std::int64_t shard, int thread) {
      const FlushSubnormals flush;
      sums.add_shard(shard, split.shards, thread);
    });
  } else {
    sums.add_all();
  }
  if (!sums.fit) return false;

  float* const to = dweight.data<float>();
  parallel_for(K_, [&](std::int64_t k) {
    const FlushSubnormals flush;
    HWY_DYNAMIC_DISPATCH(finish_taps)(chunk, split.shards, k, accumulate.dweight, to + k * 9 * C_);
  });
  if (!dbias.defined()) return true;
  float* const bias = dbias.data<float>();
  for (std::int64_t k = 0; k < K_; ++k) {
    double sum = accumulate.dbias ? double{bias[k]} : 0.0;
    for (std::int64_t shard = 0; shard < split.shards; ++shard) sum += biases[shard * K_ + k];
    bias[k] = static_cast<float>(sum);
  }
  return true;
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
