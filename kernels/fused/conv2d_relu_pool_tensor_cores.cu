#include <gpucnn/kernels/fused/conv2d_relu_pool_cuda.h>
#include <gpucnn/kernels/fused/pooled_tensors.h>
#include <gpucnn/kernels/fused/tensor_tile.h>
#include <gpucnn/kernels/fused/winner.h>

// In bf16 or tf32. A block computes one or two tiles of windows for 32 or 16 outputs; see tensor_tile.h.
namespace gpucnn::kernels::cuda {
namespace {

/// How wide memory may be read and written.
struct Width {
  bool inputs, weights, outputs;  // whole chunks of x; fours of the weight; pairs of y and argmax
};

/// `argmax` and `bias` may be null.
template <int kOutputs, class T>
__global__ void __launch_bounds__(kTileThreads, 2)
    tensor_core_kernel(PooledSizes s, const T* x, const float* weight, const float* bias, PooledLayout layout, Width width, T* y,
                       std::uint8_t* argmax) {
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
      for (int t = 0; t < kTiles; ++t) {
        const WindowTile tile = tiles[first_tile + t];
        const auto fetch = [&](int h, int w, int chunk) {
          const int c = c_first + chunk * kInChunk;
          const T* const from = x + ((std::int64_t{tile.n} * s.H + h) * s.W + w) * s.C + c;
          return chunk_of<T>(load_some(from, s.C - c, width.inputs));
        };
        Block::load_pixels(tile, t, tile.n < s.N ? s.H : 0, s.W, fetch, memory);
      }
      for (int item = static_cast<int>(threadIdx.x); item < Block::kWeights; item += kTileThreads) {
        const int chunk = item % 2, tap = item / 2 % 9, output = item / 18, k = k_first + output, c = c_first + chunk * kInChunk;
        const float* const from = weight + (std::int64_t{k} * 9 + tap) * s.C + c;
        memory[Block::weight_at(tap, output, chunk)] = chunk_of<T>(load_weights<T>(from, k < s.K ? s.C - c : 0, width.weights));
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

}  // namespace

void conv2d_relu_pool_tensor_cores(const Conv2dReluPool& conv, Tensor& y, Stream& stream) {
  const PooledSizes s = pooled_sizes(conv);
  for_activation(conv.x.dtype(), [&]<class T>(T) {
    const T* const x = conv.x.device_data<T>();
    const float* const weight = conv.weight.device_data<float>();
    const float* const bias = conv.bias.defined() ? conv.bias.device_data<float>() : nullptr;
    T* const to = y.device_data<T>();
    std::uint8_t* const argmax = conv.argmax.defined() ? Tensor(conv.argmax).device_data<std::uint8_t>() : nullptr;
    constexpr int kInChunk = Operand<T>::kInChunk;
    const PooledLayout layout = pooled_layout(s, y);
    const Width width{s.C % kInChunk == 0 && are_aligned<kInChunk>(x), s.C % kInChunk == 0 && are_aligned<4>(weight),
                      layout.at_channel == 1 && s.K % 2 == 0 && are_aligned<2>(to, argmax)};
    const auto run = [&]<int kOutputs>() {
      constexpr int kTiles = TensorBlock<kOutputs, T>::kTiles;
      const int tiles = WindowTiles::of(s.Ho, s.Wo).count(s.N), k_blocks = (s.K + kOutputs - 1) / kOutputs;
      launch(stream, "conv2d_relu_pool", {(tiles + kTiles - 1) / kTiles * k_blocks, kTileThreads}, tensor_core_kernel<kOutputs, T>,
             s, x, weight, bias, layout, width, to, argmax);
    };
    return s.K <= 16 ? run.template operator()<16>() : run.template operator()<32>();
  });
}

}  // namespace gpucnn::kernels::cuda
