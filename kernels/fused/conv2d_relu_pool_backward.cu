#include <algorithm>
#include <type_traits>

#include <gpucnn/kernels/fused/conv2d_relu_pool_cuda.h>
#include <gpucnn/kernels/fused/dweight_slices.h>
#include <gpucnn/kernels/fused/dweight_tensor_cores.h>
#include <gpucnn/kernels/fused/tensor_tile.h>

// One kernel whose first blocks compute slices of the weight's gradient, and whose others that of x: the two need nothing of each
// other. dx is a convolution of dy, unpooled in shared memory, with the window rotated by 180 degrees: on FFMA in fp32, else on
// tensor cores. So is the weight's gradient, which on FFMA needs winners alone.
namespace gpucnn::kernels::cuda {
namespace {

/// A block's part of dx on FFMA: of tiles of pixels for kOutputs channels of x.
template <int kOutputs>
struct FfmaDx {
  using Block = WindowBlock<kOutputs>;
  static constexpr int kTiles = Block::kTiles, kBytes = Block::kFloats * 4;

  __device__ static void compute(const BackwardOperands<float>& o, int block, void* memory) {
    constexpr int kDepth = Block::kDepth, kPerThread = Block::kPerThread, kWidth = 4;
    const PooledSizes& s = o.s;
    float *const planes = static_cast<float*>(memory), *const weights = planes + Block::kPlanes;
    const WindowTiles tiles = WindowTiles::of((s.H + 1) / 2, (s.W + 1) / 2);
    const int c_blocks = (s.C + kOutputs - 1) / kOutputs, c_first = block % c_blocks * kOutputs;
    const int first_tile = block / c_blocks * kTiles;
    float sums[4][kPerThread] = {};
    GPUCNN_NO_UNROLL
    for (int k_first = 0; k_first < s.K; k_first += kDepth) {
      __syncthreads();  // before what others still read is written over
      GPUCNN_NO_UNROLL
      for (int t = 0; t < kTiles; ++t) {
        const WindowTile tile = tiles[first_tile + t];
        const auto fetch = [&](int h, int w, int k) { return o.template unpooled<kWidth>(tile.n, h, w, k_first + k); };
        Block::template load_planes<kWidth>(tile, tile.n < s.N ? 2 * s.Ho : 0, 2 * s.Wo, fetch,
                                            planes + t * kDepth * Block::kPlane);
      }
      GPUCNN_NO_UNROLL
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
      store_eight(sums[p], std::min(kPerThread, s.C - c), o.plan.wide_dx,
                  o.dx + ((std::int64_t{tile.n} * s.H + h) * s.W + w) * s.C + c);
    }
  }
};

/// The same on tensor cores.
template <int kOutputs, class T>
struct TensorDx {
  using Block = TensorBlock<kOutputs, T>;
  static constexpr int kTiles = Block::kTiles, kBytes = Block::kChunks * 16;

  __device__ static void compute(const BackwardOperands<T>& o, int block, void* shared) {
    constexpr int kInChunk = Block::kInChunk;
    const PooledSizes& s = o.s;
    Chunk* const memory = static_cast<Chunk*>(shared);
    const WindowTiles tiles = WindowTiles::of((s.H + 1) / 2, (s.W + 1) / 2);
    const int c_blocks = (s.C + kOutputs - 1) / kOutputs, c_first = block % c_blocks * kOutputs;
    const int first_tile = block / c_blocks * kTiles;
    typename Block::Sums sums = {};
    GPUCNN_NO_UNROLL
    for (int k_first = 0; k_first < s.K; k_first += Block::kDepth) {
      __syncthreads();  // before what others still read is written over
      for (int t = 0; t < kTiles; ++t) {
        const WindowTile tile = tiles[first_tile + t];
        const auto fetch = [&](int h, int w, int chunk) {
          return chunk_of<T>(o.template unpooled<kInChunk>(tile.n, h, w, k_first + chunk * kInChunk));
        };
        Block::load_pixels(tile, t, tile.n < s.N ? 2 * s.Ho : 0, 2 * s.Wo, fetch, memory);
      }
      GPUCNN_NO_UNROLL
      for (int item = static_cast<int>(threadIdx.x); item < Block::kWeights; item += kTileThreads) {
        const int output = item % kOutputs, tap = item / kOutputs % 9, chunk = item / (9 * kOutputs);
        const int c = c_first + output, k = k_first + chunk * kInChunk;
        const float* from = o.weight + (std::int64_t{k} * 9 + tap) * s.C + c;
        Lanes<T, kInChunk> elements{};
        for (int e = 0; e < kInChunk; ++e, from += 9 * s.C) {
          if (c < s.C && k + e < s.K) elements.at[e] = narrow<T>(*from);
        }
        memory[Block::weight_at(8 - tap, output, chunk)] = chunk_of<T>(elements);
      }
      __syncthreads();
      Block::add_products(memory, sums);
    }

    const WindowTile tile = tiles[first_tile + Block::tile()];
    Block::for_pairs(sums, [&](int row, int column, int output, const float(&values)[4][2]) {
      const int c = c_first + output;
      if (tile.n >= s.N || c >= s.C) return;
      for (int p = 0; p < 4; ++p) {
        const int h = 2 * (tile.top + row) + p / 2, w = 2 * (tile.left + column) + p % 2;
        if (h >= s.H || w >= s.W) continue;
        store_pair<T>({{narrow<T>(values[p][0]), narrow<T>(values[p][1])}}, s.C - c, o.plan.wide_dx, 1,
                      o.dx + ((std::int64_t{tile.n} * s.H + h) * s.W + w) * s.C + c);
      }
    });
  }
};

/// No dx, which has no blocks.
struct NoDx {
  static constexpr int kBytes = 0;

  template <class T>
  __device__ static void compute(const BackwardOperands<T>&, int, void*) {}
};

template <class Dx, class Dweight, class T>
__global__ void __launch_bounds__(kTileThreads, 2)
    backward_kernel(PooledSizes s, BackwardPlan plan, const T* x, const float* weight, const T* dy, const std::uint8_t* argmax,
                    float* sums, T* dx) {
  using Four = Lanes<float, 4>;
  GPUCNN_SHARED(Four, memory, (std::max(Dx::kBytes, Dweight::kBytes) + 15) / 16);
  const BackwardOperands<T> o{s, plan, x, weight, dy, argmax, sums, dx};
  int block = static_cast<int>(blockIdx.x);
  for (; block < plan.dweight_blocks; block += static_cast<int>(gridDim.x)) {
    __syncthreads();
    Dweight::compute(o, block, memory);
  }
  for (block -= plan.dweight_blocks; block < plan.dx_blocks; block += static_cast<int>(gridDim.x)) {
    __syncthreads();
    Dx::compute(o, block, memory);
  }
}

/// Tiles of a slice: as many slices as fill a large GPU with blocks, and `min_slices`; the same number on every GPU.
int divide(std::int64_t tiles, std::int64_t blocks, const SliceSums& count) {
  constexpr std::int64_t kBlocks = 264, kMaxTiles = 32;
  const std::int64_t slices = std::clamp<std::int64_t>(std::max(kBlocks / blocks, min_slices(tiles, kMaxTiles, count)), 1, tiles);
  return static_cast<int>((tiles + slices - 1) / slices);
}

/// The gradients of one convolution, all of one precision.
template <class T>
class Backward {
 public:
  Backward(const Conv2dReluPool& conv, const Tensor& dy, Conv2dReluPoolGradients& gradients, Tensor& dx, const BackwardPlan& plan,
           Stream& stream)
      : conv_(conv), dy_(dy), gradients_(gradients), dx_(dx), plan_(plan), stream_(stream), s_(pooled_sizes(conv)) {}

  /// All of them.
  template <class Dx, class Dweight>
  void compute() {
    const int blocks = blocks_of(s_.K, Dweight::kOutputs) * blocks_of(s_.C, Dweight::kInputs);
    const int tiles = WindowTiles::of(s_.Ho, s_.Wo).count(s_.N);
    plan_.tiles_per_slice = divide(tiles, blocks, plan_.count);
    const int slices = blocks_of(tiles, plan_.tiles_per_slice);
    plan_.dweight_blocks = slices * blocks;
    plan_.dx_blocks = dx_blocks<Dx>();
    Tensor sums = Tensor::empty({slices, plan_.count.all}, DType::f32, stream_.device());
    launch_kernel<Dx, Dweight>(sums.device_data<float>());
    auto& [dweight, dbias, accumulate, may_wait] = gradients_;
    add_slices(sums, plan_.count, {dweight, accumulate.dweight}, {dbias, accumulate.dbias}, may_wait, stream_);
  }

  /// dx alone, by the kernel that might compute a Dweight too.
  template <class Dx, class Dweight>
  void compute_dx() {
    plan_.dweight_blocks = 0;
    plan_.dx_blocks = dx_blocks<Dx>();
    launch_kernel<Dx, Dweight>(nullptr);
  }

 private:
  static int blocks_of(int whole, int each) { return (whole + each - 1) / each; }

  template <class Dx>
  int dx_blocks() const {
    if constexpr (std::is_same_v<Dx, NoDx>) {
      return 0;
    } else {
      const int tiles = WindowTiles::of((s_.H + 1) / 2, (s_.W + 1) / 2).count(s_.N);
      return dx_.defined() ? blocks_of(tiles, Dx::kTiles) * blocks_of(s_.C, Dx::Block::kOutputs) : 0;
    }
  }

  template <class Dx, class Dweight>
  void launch_kernel(float* sums) {
    launch(stream_, "conv2d_relu_pool_backward", {plan_.dweight_blocks + plan_.dx_blocks, kTileThreads},
           backward_kernel<Dx, Dweight, T>, s_, plan_, conv_.x.device_data<T>(), conv_.weight.device_data<float>(),
           dy_.device_data<T>(), conv_.argmax.device_data<std::uint8_t>(), sums, dx_.defined() ? dx_.device_data<T>() : nullptr);
  }

  const Conv2dReluPool& conv_;
  const Tensor& dy_;
  Conv2dReluPoolGradients& gradients_;
  Tensor& dx_;
  BackwardPlan plan_;
  Stream& stream_;
  PooledSizes s_;
};

}  // namespace

void conv2d_relu_pool_backward(const Conv2dReluPool& conv, const Tensor& dy, Conv2dReluPoolGradients& gradients, Tensor& dx,
                               Stream& stream) {
  const PooledSizes s = pooled_sizes(conv);
  for_activation(conv.x.dtype(), [&]<class T>(T) {
    constexpr int kWide = 16 / sizeof(T);
    const T* const from = dy.device_data<T>();
    const std::uint8_t* const argmax = conv.argmax.device_data<std::uint8_t>();
    const T* const to = dx.defined() ? dx.device_data<T>() : nullptr;
    const bool tensor_cores = conv.precision != Precision::fp32;
    BackwardPlan plan{};
    plan.layout = pooled_layout(s, dy);
    plan.count = {conv.weight.numel(), conv.weight.numel() + (gradients.dbias.defined() ? s.K : 0)};
    plan.wide_x = s.C % kWide == 0 && are_aligned<kWide>(conv.x.device_data<T>());
    plan.wide_winners = s.K % kWide == 0 && are_aligned<kWide>(argmax);
    plan.wide_dy = plan.wide_winners && plan.layout.at_channel == 1 && are_aligned<kWide>(from);
    plan.wide_dx = tensor_cores ? s.C % 2 == 0 && are_aligned<2>(to) : s.C % 4 == 0 && are_aligned<4>(to);
    Backward<T> backward(conv, dy, gradients, dx, plan, stream);
    const auto with_dx = [&]<int kOutputs, class Body>(std::integral_constant<int, kOutputs>, const Body& body) {
      if constexpr (std::is_same_v<T, float>) {
        if (!tensor_cores) return body(FfmaDx<kOutputs>{}, DweightBlock<32, 4>{});
      }
      body(TensorDx<kOutputs, T>{}, TensorDweight<T>{});
    };
    constexpr std::integral_constant<int, 16> k16;
    constexpr std::integral_constant<int, 32> k32;
    if (s.C <= 4) {  // an image's channels, whose gradient hardly anybody wants: it has a launch of its own
      if (tensor_cores) {
        backward.template compute<NoDx, FewChannelsDweight<T>>();
      } else if constexpr (std::is_same_v<T, float>) {
        if (s.K <= 16) {
          backward.template compute<NoDx, DweightBlock<16, 1>>();
        } else {
          backward.template compute<NoDx, DweightBlock<32, 1>>();
        }
      }
      if (to) with_dx(k16, [&]<class Dx, class Dweight>(Dx, Dweight) { backward.template compute_dx<Dx, Dweight>(); });
    } else if (s.C <= 16) {
      with_dx(k16, [&]<class Dx, class Dweight>(Dx, Dweight) { backward.template compute<Dx, Dweight>(); });
    } else {
      with_dx(k32, [&]<class Dx, class Dweight>(Dx, Dweight) { backward.template compute<Dx, Dweight>(); });
    }
  });
}

}  // namespace gpucnn::kernels::cuda
