#include <gpucnn/kernels/fused/conv2d_relu_pool_cuda.h>
#include <gpucnn/kernels/fused/tile_input.h>
#include <gpucnn/kernels/fused/window_tile.h>

// In true fp32, on FFMA. A block computes one or two tiles of windows for 32 or 16 outputs; see window_tile.h.
namespace gpucnn::kernels::cuda {
namespace {

/// What a block of either kernel does. `argmax` and `bias` may be null. `wide`: 4 channels of y and argmax are written at once.
/// kWidth: channels of x that are read at once.
template <int kOutputs, int kWidth, class Input>
__device__ void compute(const Input& input, const PooledSizes& s, const float* weight, const float* bias,
                        const PooledLayout& layout, bool wide, float* y, std::uint8_t* argmax) {
  using Block = WindowBlock<kOutputs>;
  constexpr int kDepth = Block::kDepth, kPerThread = Block::kPerThread;
  using Four = Lanes<float, 4>;
  GPUCNN_SHARED(Four, memory, Block::kFloats / 4);
  float *const planes = memory[0].at, *const weights = planes + Block::kPlanes;
  const WindowTiles tiles = WindowTiles::of(s.Ho, s.Wo);
  const int k_blocks = (s.K + kOutputs - 1) / kOutputs;
  const int blocks = (tiles.count(s.N) + Block::kTiles - 1) / Block::kTiles * k_blocks;

  for (int block = static_cast<int>(blockIdx.x); block < blocks; block += static_cast<int>(gridDim.x)) {
    const int k_first = block % k_blocks * kOutputs;
    const int first_tile = block / k_blocks * Block::kTiles;
    float sums[4][kPerThread] = {};
    GPUCNN_NO_UNROLL
    for (int c_first = 0; c_first < s.C; c_first += kDepth) {
      __syncthreads();  // before what others still read is written over
      input.find(tiles, first_tile, Block::kTiles, k_first == 0);
      for (int item = static_cast<int>(threadIdx.x); item < kDepth * 9 * kOutputs; item += kTileThreads) {
        const int c = item % kDepth, tap = item / kDepth % 9, o = item / (9 * kDepth), k = k_first + o;
        float value = 0;
        if (c_first + c < s.C && k < s.K) value = weight[(std::int64_t{k} * 9 + tap) * s.C + c_first + c];
        weights[c * Block::kWeightPitch + tap * kOutputs + o] = value;
      }
      if constexpr (Input::kGathers) __syncthreads();
      for (int t = 0; t < Block::kTiles; ++t) {
        const WindowTile tile = tiles[first_tile + t];
        const int height = tile.n < s.N ? s.H : 0;
        float* const to = planes + t * kDepth * Block::kPlane;
        if constexpr (Input::kGathers) {
          const auto fetch = [&](int h, int w, int) { return input.pixel(tile, t, h, w, k_first == 0); };
          Block::template load_planes<kWidth, kWidth>(tile, height, s.W, fetch, to);
        } else {
          const auto fetch = [&](int h, int w, int c) {
            Lanes<float, kWidth> values{};
            if (c_first + c < s.C) {
              values = load<kWidth>(input.x + ((std::int64_t{tile.n} * s.H + h) * s.W + w) * s.C + c_first + c);
            }
            return values;
          };
          Block::template load_planes<kWidth>(tile, height, s.W, fetch, to);
        }
      }
      __syncthreads();
      Block::add_products(planes, weights, std::min(kDepth, s.C - c_first), sums);
    }

    const WindowTile tile = tiles[first_tile + Block::tile()];
    const int i = tile.top + Block::row(), j = tile.left + Block::column(), k = k_first + Block::output();
    if (tile.n >= s.N || i >= s.Ho || j >= s.Wo || k >= s.K) continue;
    float values[kPerThread];
    std::uint8_t winners[kPerThread];
    for (int o = 0; o < kPerThread; ++o) {
      const float b = bias && k + o < s.K ? bias[k + o] : 0.0F;
      const Winner winner = winner_of(sums[0][o] + b, sums[1][o] + b, sums[2][o] + b, sums[3][o] + b);
      values[o] = winner.value;
      winners[o] = winner.index;
    }
    const int count = std::min(kPerThread, s.K - k);
    const std::int64_t pixel = std::int64_t{i} * s.Wo + j;
    if (layout.at_channel == 1) {
      store_eight(values, count, wide, y + tile.n * layout.image + pixel * layout.at_pixel + k);
    } else {
      for (int o = 0; o < count; ++o) y[tile.n * layout.image + pixel * layout.at_pixel + (k + o) * layout.at_channel] = values[o];
    }
    if (argmax) store_eight(winners, count, wide, argmax + (std::int64_t{tile.n} * s.Ho * s.Wo + pixel) * s.K + k);
  }
}

template <int kOutputs, int kWidth>
__global__ void __launch_bounds__(kTileThreads, 2)
    forward_kernel(PooledSizes s, const float* x, const float* weight, const float* bias, PooledLayout layout, bool wide, float* y,
                   std::uint8_t* argmax) {
  compute<kOutputs, kWidth>(StoredInput<float>{x}, s, weight, bias, layout, wide, y, argmax);
}

/// The same of a batch that it gathers. `labels` and `batch_labels` may be null.
template <int kOutputs, class Stored>
__global__ void __launch_bounds__(kTileThreads, 2)
    gathering_kernel(PooledSizes s, BatchTask task, const StepState* state, const Stored* images, const std::int32_t* labels,
                     const std::int64_t* order, const float* weight, const float* bias, PooledLayout layout, bool wide, float* x,
                     std::int32_t* batch_labels, float* y, std::uint8_t* argmax) {
  using Input = GatheredInput<float, Stored>;
  GPUCNN_SHARED(Source, sources, WindowBlock<kOutputs>::kTiles);
  const Input input{s, task, state, images, labels, order, x, batch_labels, sources};
  compute<kOutputs, Input::kChannels>(input, s, weight, bias, layout, wide, y, argmax);
}

}  // namespace

void conv2d_relu_pool(const Conv2dReluPool& conv, Tensor& y, Stream& stream) {
  const PooledSizes s = pooled_sizes(conv);
  float* const x = Tensor(conv.x).device_data<float>();
  float* const to = y.device_data<float>();
  std::uint8_t* const argmax = data_if_defined<std::uint8_t>(conv.argmax);
  const float *const weight = conv.weight.device_data<float>(), *const bias = data_if_defined<float>(conv.bias);
  const bool wide = s.K % 4 == 0 && are_aligned<4>(to, argmax);
  const PooledLayout layout = pooled_layout(s, y);
  const auto shape_of = [&]<int kOutputs>() -> LaunchShape {
    using Block = WindowBlock<kOutputs>;
    const int tiles = WindowTiles::of(s.Ho, s.Wo).count(s.N), k_blocks = (s.K + kOutputs - 1) / kOutputs;
    return {(tiles + Block::kTiles - 1) / Block::kTiles * k_blocks, kTileThreads};
  };
  if (const OrderedBatch* const batch = conv.gathers) {
    const BatchTask task = ordered_task(batch->images, batch->order, batch->transform, batch->batch);
    for_stored(batch->images, [&]<class Stored>(const Stored* images) {
      const auto run = [&]<int kOutputs>() {
        launch(stream, "conv2d_relu_pool_gathers", shape_of.template operator()<kOutputs>(), gathering_kernel<kOutputs, Stored>, s,
               task, gpu::queue(stream.device()).step_state(), images, data_if_defined<std::int32_t>(batch->labels),
               batch->order.device_data<std::int64_t>(), weight, bias, layout, wide, x,
               data_if_defined<std::int32_t>(batch->batch_labels), to, argmax);
      };
      return s.K <= 16 ? run.template operator()<16>() : run.template operator()<32>();
    });
    return;
  }
  const auto run = [&]<int kOutputs, int kWidth>() {
    launch(stream, "conv2d_relu_pool", shape_of.template operator()<kOutputs>(), forward_kernel<kOutputs, kWidth>, s, x, weight,
           bias, layout, wide, to, argmax);
  };
  const bool fours = s.C % 4 == 0 && are_aligned<4>(x);
  if (s.K <= 16) return fours ? run.template operator()<16, 4>() : run.template operator()<16, 1>();
  return fours ? run.template operator()<32, 4>() : run.template operator()<32, 1>();
}

}  // namespace gpucnn::kernels::cuda
