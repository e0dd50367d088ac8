#include <gpucnn/kernels/fused/conv2d_relu_pool_cuda.h>
#include <gpucnn/kernels/fused/tensor_tile.h>
#include <gpucnn/kernels/fused/tile_input.h>

// In bf16 or tf32. A block computes one or two tiles of windows for 32 or 16 outputs; see tensor_tile.h.
namespace gpucnn::kernels::cuda {
namespace {

/// How wide memory may be read and written.
struct Width {
  bool inputs, weights, outputs;  // whole chunks of x; fours of the weight; pairs of y and argmax
};

/// What a block of either kernel does. `argmax` and `bias` may be null.
template <int kOutputs, class T, class Input>
__device__ void compute(const Input& input, const PooledSizes& s, const float* weight, const float* bias,
                        const PooledLayout& layout, const Width& width, T* y, std::uint8_t* argmax) {
  using Block = TensorBlock<kOutputs, T>;
  constexpr int kTiles = Block::kTiles, kInChunk = Block::kInChunk;
  GPUCNN_SHARED(Chunk, memory, Block::kChunks);
  const WindowTiles tiles = WindowTiles::of(s.Ho, s.Wo);
  const int k_blocks = (s.K + kOutputs - 1) / kOutputs;
  const int blocks = (tiles.count(s.N) + kTiles - 1) / kTiles * k_blocks;

  for (int block = static_cast<int>(blockIdx.x); block < blocks; block += static_cast<int>(gridDim.x)) {
    const int k_first = block % k_blocks * kOutputs, first_tile = block / k_blocks * kTiles;
    typename Block::Sums sums = {};
    GPUCNN_NO_UNROLL
    for (int c_first = 0; c_first < s.C; c_first += Block::kDepth) {
      __syncthreads();  // before what others still read is written over
      input.find(tiles, first_tile, kTiles, k_first == 0);
      for (int item = static_cast<int>(threadIdx.x); item < Block::kWeights; item += kTileThreads) {
        const int chunk = item % 2, tap = item / 2 % 9, output = item / 18, k = k_first + output, c = c_first + chunk * kInChunk;
        const float* const from = weight + (std::int64_t{k} * 9 + tap) * s.C + c;
        memory[Block::weight_at(tap, output, chunk)] = chunk_of<T>(load_weights<T>(from, k < s.K ? s.C - c : 0, width.weights));
      }
      if constexpr (Input::kGathers) __syncthreads();
      for (int t = 0; t < kTiles; ++t) {
        const WindowTile tile = tiles[first_tile + t];
        const int height = tile.n < s.N ? s.H : 0;
        if constexpr (Input::kGathers) {
          const auto fetch = [&](int h, int w, int) {
            const auto pixel = input.pixel(tile, t, h, w, k_first == 0);
            Lanes<T, kInChunk> channels{};
            for (int c = 0; c < Input::kChannels; ++c) channels.at[c] = pixel.at[c];
            return chunk_of<T>(channels);
          };
          Block::template load_pixels<1>(tile, t, height, s.W, fetch, memory);
        } else {
          const auto fetch = [&](int h, int w, int chunk) {
            const int c = c_first + chunk * kInChunk;
            const T* const from = input.x + ((std::int64_t{tile.n} * s.H + h) * s.W + w) * s.C + c;
            return chunk_of<T>(load_some(from, s.C - c, width.inputs));
          };
          Block::load_pixels(tile, t, height, s.W, fetch, memory);
        }
      }
      __syncthreads();
      Block::add_products(memory, sums);
    }

    const WindowTile tile = tiles[first_tile + Block::tile()];
    Block::for_pairs(sums, [&](int row, int column, int output, const float(&values)[4][2]) {
      const int i = tile.top + row, j = tile.left + column, k = k_first + output;
      if (tile.n >= s.N || i >= s.Ho || j >= s.Wo || k >= s.K) return;
      Lanes<T, 2> pooled;
      Lanes<std::uint8_t, 2> winners;
      for (int e = 0; e < 2; ++e) {
        const float add = bias && k + e < s.K ? widen(narrow<T>(bias[k + e])) : 0.0F;
        float rounded[4];  // as a convolution of its own would give them to the pooling
        for (int p = 0; p < 4; ++p) rounded[p] = widen(narrow<T>(values[p][e] + add));
        const Winner winner = winner_of(rounded[0], rounded[1], rounded[2], rounded[3]);
        pooled.at[e] = narrow<T>(winner.value);
        winners.at[e] = winner.index;
      }
      const std::int64_t pixel = std::int64_t{i} * s.Wo + j;
      store_pair(pooled, s.K - k, width.outputs, layout.at_channel,
                 y + tile.n * layout.image + pixel * layout.at_pixel + k * layout.at_channel);
      if (!argmax) return;
      store_pair(winners, s.K - k, width.outputs, 1, argmax + (std::int64_t{tile.n} * s.Ho * s.Wo + pixel) * s.K + k);
    });
  }
}

template <int kOutputs, class T>
__global__ void __launch_bounds__(kTileThreads, 2)
    tensor_core_kernel(PooledSizes s, const T* x, const float* weight, const float* bias, PooledLayout layout, Width width, T* y,
                       std::uint8_t* argmax) {
  compute<kOutputs, T>(StoredInput<T>{x}, s, weight, bias, layout, width, y, argmax);
}

/// The same of a batch that it gathers. `labels` and `batch_labels` may be null.
template <int kOutputs, class T, class Stored>
__global__ void __launch_bounds__(kTileThreads, 2)
    gathering_kernel(PooledSizes s, BatchTask task, const StepState* state, const Stored* images, const std::int32_t* labels,
                     const std::int64_t* order, const float* weight, const float* bias, PooledLayout layout, Width width, T* x,
                     std::int32_t* batch_labels, T* y, std::uint8_t* argmax) {
  using Block = TensorBlock<kOutputs, T>;
  GPUCNN_SHARED(Source, sources, Block::kTiles);
  const GatheredInput<T, Stored> input{s, task, state, images, labels, order, x, batch_labels, sources};
  compute<kOutputs, T>(input, s, weight, bias, layout, width, y, argmax);
}

}  // namespace

void conv2d_relu_pool_tensor_cores(const Conv2dReluPool& conv, Tensor& y, Stream& stream) {
  const PooledSizes s = pooled_sizes(conv);
  for_activation(conv.x.dtype(), [&]<class T>(T) {
    T *const x = Tensor(conv.x).device_data<T>(), *const to = y.device_data<T>();
    const float *const weight = conv.weight.device_data<float>(), *const bias = data_if_defined<float>(conv.bias);
    std::uint8_t* const argmax = data_if_defined<std::uint8_t>(conv.argmax);
    constexpr int kInChunk = Operand<T>::kInChunk;
    const PooledLayout layout = pooled_layout(s, y);
    const bool chunks = s.C % kInChunk == 0;
    const Width width{chunks && are_aligned<kInChunk>(x), chunks && are_aligned<4>(weight),
                      layout.at_channel == 1 && s.K % 2 == 0 && are_aligned<2>(to, argmax)};
    const auto run = [&]<int kOutputs>() {
      constexpr int kTiles = TensorBlock<kOutputs, T>::kTiles;
      const int tiles = WindowTiles::of(s.Ho, s.Wo).count(s.N), k_blocks = (s.K + kOutputs - 1) / kOutputs;
      const LaunchShape shape{(tiles + kTiles - 1) / kTiles * k_blocks, kTileThreads};
      const OrderedBatch* const batch = conv.gathers;
      if (!batch) {
        return launch(stream, "conv2d_relu_pool", shape, tensor_core_kernel<kOutputs, T>, s, x, weight, bias, layout, width, to,
                      argmax);
      }
      const BatchTask task = ordered_task(batch->images, batch->order, batch->transform, batch->batch);
      for_stored(batch->images, [&]<class Stored>(const Stored* images) {
        launch(stream, "conv2d_relu_pool_gathers", shape, gathering_kernel<kOutputs, T, Stored>, s, task,
               gpu::queue(stream.device()).step_state(), images, data_if_defined<std::int32_t>(batch->labels),
               batch->order.device_data<std::int64_t>(), weight, bias, layout, width, x,
               data_if_defined<std::int32_t>(batch->batch_labels), to, argmax);
      });
    };
    return s.K <= 16 ? run.template operator()<16>() : run.template operator()<32>();
  });
}

}  // namespace gpucnn::kernels::cuda
