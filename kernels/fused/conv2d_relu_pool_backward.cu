#include <algorithm>

#include <gpucnn/kernels/cuda/slice_sums.h>
#include <gpucnn/kernels/fused/conv2d_relu_pool_cuda.h>
#include <gpucnn/kernels/fused/pooled_tensors.h>
#include <gpucnn/kernels/fused/window_tile.h>

// In true fp32, on FFMA. One kernel whose first blocks compute slices of the weight's gradient, and whose others that of x: the two
// need nothing of each other. dx is a convolution of dy, unpooled in shared memory, with the window rotated by 180 degrees. dweight
// takes the winners alone: a quarter of the products of a dense one.
namespace gpucnn::kernels::cuda {
namespace {

/// How the work is divided among blocks.
struct Division {
  PooledLayout layout;  // of dy
  int dw_blocks, dx_blocks, tiles_per_slice;
  SliceSums count;
  bool wide;  // 4 channels of dx are written at once
};

/// All that a block needs to know.
struct Operands {
  PooledSizes s;
  Division d;
  const float *x, *weight, *dy;
  const std::uint8_t* argmax;
  float *sums, *dx;
};

/// `kWidth` channels of dy from k on, in the window (i, j).
template <int kWidth>
__device__ Lanes<float, kWidth> load_dy(const Operands& o, int n, int i, int j, int k) {
  const float* from =
      o.dy + n * o.d.layout.image + (std::int64_t{i} * o.s.Wo + j) * o.d.layout.at_pixel + k * o.d.layout.at_channel;
  if constexpr (kWidth > 1) {
    if (o.d.layout.at_channel > 1) {
      Lanes<float, kWidth> values;
      for (int e = 0; e < kWidth; ++e) values.at[e] = from[e * o.d.layout.at_channel];
      return values;
    }
  }
  return load<kWidth>(from);
}

__device__ inline std::int64_t argmax_at(const Operands& o, int n, int i, int j, int k) {
  return ((std::int64_t{n} * o.s.Ho + i) * o.s.Wo + j) * o.s.K + k;
}

/// A block's part of dx: of tiles of pixels for kOutputs channels of x. `kWidth` channels of dy are loaded at once.
template <int kOutputs, int kWidth>
__device__ void compute_dx(const Operands& o, int block, float* memory) {
  using Block = WindowBlock<kOutputs>;
  constexpr int kDepth = Block::kDepth, kPerThread = Block::kPerThread;
  const PooledSizes& s = o.s;
  float *const planes = memory, *const weights = planes + Block::kPlanes;
  const WindowTiles tiles = WindowTiles::of((s.H + 1) / 2, (s.W + 1) / 2);
  const int c_blocks = (s.C + kOutputs - 1) / kOutputs, c_first = block % c_blocks * kOutputs;
  const int first_tile = block / c_blocks * Block::kTiles;
  float sums[4][kPerThread] = {};
  GPUCNN_NO_UNROLL
  for (int k_first = 0; k_first < s.K; k_first += kDepth) {
    __syncthreads();  // before what others still read is written over
    for (int t = 0; t < Block::kTiles; ++t) {
      const WindowTile tile = tiles[first_tile + t];
      const auto unpooled = [&](int h, int w, int k) {
        Lanes<float, kWidth> values{};
        if (k_first + k >= s.K) return values;
        const auto winners = load<kWidth>(o.argmax + argmax_at(o, tile.n, h / 2, w / 2, k_first + k));
        const auto gradients = load_dy<kWidth>(o, tile.n, h / 2, w / 2, k_first + k);
        for (int e = 0; e < kWidth; ++e) values.at[e] = winners.at[e] == h % 2 * 2 + w % 2 ? gradients.at[e] : 0;
        return values;
      };
      Block::template load_planes<kWidth>(tile, tile.n < s.N ? 2 * s.Ho : 0, 2 * s.Wo, unpooled,
                                          planes + t * kDepth * Block::kPlane);
    }
    GPUCNN_NO_UNROLL  // the registers are the sums'
        for (int item = static_cast<int>(threadIdx.x); item < kDepth * 9 * kOutputs; item += kTileThreads) {
      const int c = item % kOutputs, tap = item / kOutputs % 9, k = item / (9 * kOutputs);
      float value = 0;
      if (c_first + c < s.C && k_first + k < s.K) value = o.weight[(std::int64_t{k_first + k} * 9 + tap) * s.C + c_first + c];
      weights[k * Block::kWeightPitch + (8 - tap) * kOutputs + c] = value;
    }
    __syncthreads();
    Block::add_products(planes, weights, std::min(kDepth, s.K - k_first), sums);
  }

  const WindowTile tile = tiles[first_tile + Block::tile()];
  const int c = c_first + Block::output();
  if (tile.n >= s.N || c >= s.C) return;
  for (int p = 0; p < 4; ++p) {
    const int h = 2 * (tile.top + Block::row()) + p / 2, w = 2 * (tile.left + Block::column()) + p % 2;
    if (h >= s.H || w >= s.W) continue;
    store_eight(sums[p], std::min(kPerThread, s.C - c), o.d.wide, o.dx + ((std::int64_t{tile.n} * s.H + h) * s.W + w) * s.C + c);
  }
}

/// How a block computes the gradient of kOutputs x 4 kQuads channels of the weight. A thread has 9 taps of one output and four
/// inputs; teams of threads share the windows of a tile among them.
template <int Outputs, int Quads>
struct GradientBlock {
  static constexpr int kOutputs = Outputs, kQuads = Quads, kInputs = 4 * kQuads;
  static constexpr int kTeam = kOutputs * kQuads, kTeams = kTileThreads / kTeam;
  // The second row of a window lies in other banks than the first.
  static constexpr int kRow = kHaloPixels * kInputs + 4 * kQuads;
  static constexpr int kGradients = kOutputs * 9 * kInputs, kFloats = std::max(kHaloPixels * kRow, kGradients);
  static_assert(kTileThreads % kTeam == 0 && kTeams * kOutputs <= kFloats);

  __device__ static int quad() { return static_cast<int>(threadIdx.x) % kQuads; }
  __device__ static int output() { return static_cast<int>(threadIdx.x) / kQuads % kOutputs; }
  __device__ static int team() { return static_cast<int>(threadIdx.x) / kTeam; }
};

/// A tile of x and its halo, with zeros around the image: rows of pixels with kInputs channels.
template <class Block, int kWidth>
__device__ void load_pixels(const Operands& o, const WindowTile& tile, int c_first, float* pixels) {
  constexpr int kGroups = Block::kInputs / kWidth;
  for (int item = static_cast<int>(threadIdx.x); item < kHaloPixels * kHaloPixels * kGroups; item += kTileThreads) {
    const int pixel = item / kGroups, c = item % kGroups * kWidth, r = pixel / kHaloPixels, q = pixel % kHaloPixels;
    const int h = 2 * tile.top - 1 + r, w = 2 * tile.left - 1 + q;
    Lanes<float, kWidth> values{};
    if (h >= 0 && h < o.s.H && w >= 0 && w < o.s.W && c_first + c < o.s.C) {
      values = load<kWidth>(o.x + ((std::int64_t{tile.n} * o.s.H + h) * o.s.W + w) * o.s.C + c_first + c);
    }
    store(values, pixels + r * Block::kRow + q * Block::kInputs + c);
  }
}

/// sums[slice] = what the slice's tiles add to a block of dweight and dbias. `kWidth` channels of x are loaded at once.
template <class Block, int kWidth>
__device__ void compute_slice(const Operands& o, int block, float* memory) {
  constexpr int kAtOnce = 4;  // windows whose dy is read ahead
  const PooledSizes& s = o.s;
  const int k_blocks = (s.K + Block::kOutputs - 1) / Block::kOutputs, c_blocks = (s.C + Block::kInputs - 1) / Block::kInputs;
  const int k_first = block % k_blocks * Block::kOutputs;
  const int c_first = block / k_blocks % c_blocks * Block::kInputs;
  const int slice = block / k_blocks / c_blocks;
  const WindowTiles tiles = WindowTiles::of(s.Ho, s.Wo);
  const int first = slice * o.d.tiles_per_slice, last = std::min(first + o.d.tiles_per_slice, tiles.count(s.N));
  const int k = k_first + Block::output();
  float sums[9][4] = {}, bias = 0;
  for (int i = first; i < last; ++i) {
    const WindowTile tile = tiles[i];
    __syncthreads();  // before what others still read is written over
    load_pixels<Block, kWidth>(o, tile, c_first, memory);
    __syncthreads();
    GPUCNN_NO_UNROLL
    for (int w = Block::team(); w < kTileWindows * kTileWindows; w += kAtOnce * Block::kTeams) {
      float gradients[kAtOnce];
      int winners[kAtOnce];
      for (int q = 0; q < kAtOnce; ++q) {
        const int at = w + q * Block::kTeams, row = tile.top + at / kTileWindows, column = tile.left + at % kTileWindows;
        winners[q] = 4;
        if (at < kTileWindows * kTileWindows && row < s.Ho && column < s.Wo && k < s.K) {
          winners[q] = o.argmax[argmax_at(o, tile.n, row, column, k)];
          gradients[q] = load_dy<1>(o, tile.n, row, column, k).at[0];
        }
      }
      for (int q = 0; q < kAtOnce; ++q) {
        if (winners[q] > 3) continue;
        const int at = w + q * Block::kTeams;
        const int r = at / kTileWindows * 2 + winners[q] / 2, column = at % kTileWindows * 2 + winners[q] % 2;
        const float* const patch = memory + r * Block::kRow + column * Block::kInputs + 4 * Block::quad();
        for (int tap = 0; tap < 9; ++tap) {
          const auto x = load<4>(patch + tap / 3 * Block::kRow + tap % 3 * Block::kInputs);
          for (int e = 0; e < 4; ++e) sums[tap][e] = fmaf(gradients[q], x.at[e], sums[tap][e]);
        }
        bias += gradients[q];
      }
    }
  }

  // The teams' sums, added in their order.
  float* const mine = memory + Block::output() * 9 * Block::kInputs + 4 * Block::quad();
  for (int team = 0; team < Block::kTeams; ++team) {
    __syncthreads();
    if (Block::team() != team) continue;
    for (int tap = 0; tap < 9; ++tap) {
      Lanes<float, 4> sum{{sums[tap][0], sums[tap][1], sums[tap][2], sums[tap][3]}};
      if (team > 0) {
        const auto before = load<4>(mine + tap * Block::kInputs);
        for (int e = 0; e < 4; ++e) sum.at[e] = before.at[e] + sum.at[e];
      }
      store(sum, mine + tap * Block::kInputs);
    }
  }
  __syncthreads();
  float* const to = o.sums + std::int64_t{slice} * o.d.count.all;
  for (int e = static_cast<int>(threadIdx.x); e < Block::kGradients; e += kTileThreads) {
    const int c = c_first + e % Block::kInputs, tap = e / Block::kInputs % 9, output = k_first + e / (9 * Block::kInputs);
    if (c < s.C && output < s.K) to[(std::int64_t{output} * 9 + tap) * s.C + c] = memory[e];
  }
  if (c_first > 0 || o.d.count.all == o.d.count.weights) return;
  __syncthreads();
  if (Block::quad() == 0) memory[Block::team() * Block::kOutputs + Block::output()] = bias;
  __syncthreads();
  const int output = static_cast<int>(threadIdx.x);
  if (output >= Block::kOutputs || k_first + output >= s.K) return;
  float sum = 0;
  for (int team = 0; team < Block::kTeams; ++team) sum += memory[team * Block::kOutputs + output];
  to[o.d.count.weights + k_first + output] = sum;
}

/// kOutputs: of dx; `kWidthC` channels of x, and `kWidthK` of dy, are loaded at once.
template <int kOutputs, class Gradients, int kWidthC, int kWidthK>
__global__ void __launch_bounds__(kTileThreads, 2)
    backward_kernel(PooledSizes s, Division d, const float* x, const float* weight, const float* dy, const std::uint8_t* argmax,
                    float* sums, float* dx) {
  using Four = Lanes<float, 4>;
  GPUCNN_SHARED(Four, memory, (std::max(WindowBlock<kOutputs>::kFloats, Gradients::kFloats) + 3) / 4);
  const Operands o{s, d, x, weight, dy, argmax, sums, dx};
  for (int block = static_cast<int>(blockIdx.x); block < d.dw_blocks + d.dx_blocks; block += static_cast<int>(gridDim.x)) {
    __syncthreads();
    if (block < d.dw_blocks) {
      compute_slice<Gradients, kWidthC>(o, block, memory[0].at);
    } else {
      compute_dx<kOutputs, kWidthK>(o, block - d.dw_blocks, memory[0].at);
    }
  }
}

/// Tiles of a slice: as many slices as fill a large GPU with blocks, the same number on every GPU. No slice has more than
/// `kMaxTiles`, from where on f32 sums become inexact, unless the slices would take more memory than `kMaxBytes`.
int divide(std::int64_t tiles, std::int64_t blocks, const SliceSums& count) {
  constexpr std::int64_t kBlocks = 264, kMaxTiles = 32, kMaxBytes = 64 << 20;
  const auto ceil_div = [](std::int64_t whole, std::int64_t each) { return (whole + each - 1) / each; };
  const std::int64_t exact = std::min(ceil_div(tiles, kMaxTiles), std::max<std::int64_t>(1, kMaxBytes / (count.all * 4)));
  return static_cast<int>(ceil_div(tiles, std::clamp<std::int64_t>(std::max(kBlocks / blocks, exact), 1, tiles)));
}

}  // namespace

void conv2d_relu_pool_backward(const Conv2dReluPool& conv, const Tensor& dy, Conv2dReluPoolGradients& gradients, Tensor& dx,
                               Stream& stream) {
  const PooledSizes s = pooled_sizes(conv);
  const float *const x = conv.x.device_data<float>(), *const from = dy.device_data<float>();
  const std::uint8_t* const argmax = conv.argmax.device_data<std::uint8_t>();
  float* const to = dx.defined() ? dx.device_data<float>() : nullptr;
  Division d{};
  d.layout = pooled_layout(s, dy);
  d.count = {conv.weight.numel(), conv.weight.numel() + (gradients.dbias.defined() ? s.K : 0)};
  d.wide = s.C % 4 == 0 && are_aligned<4>(to);
  const auto run = [&]<int kOutputs, class Gradients, int kWidthC, int kWidthK>() {
    const auto blocks_of = [](int channels, int each) { return (channels + each - 1) / each; };
    const int blocks = blocks_of(s.K, Gradients::kOutputs) * blocks_of(s.C, Gradients::kInputs);
    const int tiles = WindowTiles::of(s.Ho, s.Wo).count(s.N);
    d.tiles_per_slice = divide(tiles, blocks, d.count);
    const int slices = (tiles + d.tiles_per_slice - 1) / d.tiles_per_slice;
    constexpr int kTiles = WindowBlock<kOutputs>::kTiles;
    const int dx_tiles = to ? WindowTiles::of((s.H + 1) / 2, (s.W + 1) / 2).count(s.N) : 0;
    d.dw_blocks = slices * blocks;
    d.dx_blocks = (dx_tiles + kTiles - 1) / kTiles * blocks_of(s.C, kOutputs);
    Tensor sums = Tensor::empty({slices, d.count.all}, DType::f32, stream.device());
    launch(stream, "conv2d_relu_pool_backward", {d.dw_blocks + d.dx_blocks, kTileThreads},
           backward_kernel<kOutputs, Gradients, kWidthC, kWidthK>, s, d, x, conv.weight.device_data<float>(), from, argmax,
           sums.device_data<float>(), to);
    auto& [dweight, dbias, accumulate] = gradients;
    add_slices(sums, d.count, {dweight, accumulate.dweight}, {dbias, accumulate.dbias}, stream);
  };
  const bool fours_k = s.K % 4 == 0 && are_aligned<4>(from, argmax), fours_c = s.C % 4 == 0 && are_aligned<4>(x);
  if (s.C <= 4) {  // an image's channels
    if (s.K <= 16) {
      return fours_k ? run.template operator()<16, GradientBlock<16, 1>, 1, 4>()
                     : run.template operator()<16, GradientBlock<16, 1>, 1, 1>();
    }
    return fours_k ? run.template operator()<16, GradientBlock<32, 1>, 1, 4>()
                   : run.template operator()<16, GradientBlock<32, 1>, 1, 1>();
  }
  const bool fours = fours_k && fours_c;
  if (s.C <= 16) {
    return fours ? run.template operator()<16, GradientBlock<32, 4>, 4, 4>()
                 : run.template operator()<16, GradientBlock<32, 4>, 1, 1>();
  }
  return fours ? run.template operator()<32, GradientBlock<32, 4>, 4, 4>()
               : run.template operator()<32, GradientBlock<32, 4>, 1, 1>();
}

}  // namespace gpucnn::kernels::cuda
