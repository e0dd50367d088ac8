#include <gpucnn/kernels/conv/conv2d_weight_grad.h>

#include <algorithm>

#include <gpucnn/kernels/conv/implicit_gemm.h>
#include <gpucnn/kernels/cuda/slice_sums.h>
#include <gpucnn/kernels/cuda/vector_access.h>

// An implicit GEMM, split along K: of dy, transposed, [K, pixels], and the patches of x, [pixels, taps]. A block computes one tile
// of the result over one slice of the pixels. Its main loop is double-buffered, with k-tiles of kTileK pixels; its teams of threads
// share the pixels of a k-tile among them. slice_sums.h adds the slices.
namespace gpucnn::kernels::cuda {
namespace {

/// kM x kN elements of the gradient; a thread has kRows x kColumns of them, as fours.
template <int M, int N, int Rows, int Columns, int Teams, int Blocks>
struct Tile {
  static constexpr int kM = M, kN = N, kRows = Rows, kColumns = Columns, kTeams = Teams;
  static constexpr int kLanesM = kM / kRows, kLanesN = kN / kColumns, kTeam = kLanesM * kLanesN, kThreads = kTeam * kTeams;
  static constexpr int kBlocks = Blocks;                      // that fill a large GPU
  static constexpr int kDepth = 8, kTileK = kDepth * kTeams;  // pixels of a k-tile for each team, and in all
  static constexpr int kBuffer = kTileK * (kM + kN);          // floats of a k-tile: of dy, then of patches
  static constexpr int kFloats = std::max(2 * kBuffer, kTeams* kM* kN);
};
using Large = Tile<32, 144, 8, 8, 2, 264>;  // 16 channels under a window of 3x3
using Small = Tile<16, 32, 8, 4, 8, 528>;   // an image's 3

/// How the work is divided among blocks.
struct Division {
  int tiles_m, tiles_n, slices, pixels;  // pixels: of each slice but perhaps the last

  __host__ __device__ std::int64_t blocks() const { return std::int64_t{tiles_m} * tiles_n * slices; }
};

/// Register staging: `kWidth` neighbours between global and shared memory. Pairs of bf16 stay packed, two in a register: to unpack
/// them at once would stall on the load.
template <class T, int kWidth>
struct Staged {
  Lanes<T, kWidth> lanes;

  __device__ void read(const T* from) { lanes = load<kWidth>(from); }
  __device__ Lanes<float, kWidth> wide() const {
    Lanes<float, kWidth> all;
    for (int i = 0; i < kWidth; ++i) all.at[i] = widen(lanes.at[i]);
    return all;
  }
};
template <>
struct Staged<bf16, 4> {
  uint2 pairs;

  __device__ void read(const bf16* from) { pairs = *reinterpret_cast<const uint2*>(from); }
  __device__ Lanes<float, 4> wide() const {
    const auto number = [](unsigned bits) { return widen(bf16{static_cast<std::uint16_t>(bits)}); };
    return {{number(pairs.x), number(pairs.x >> 16), number(pairs.y), number(pairs.y >> 16)}};
  }
};

/// How a block's threads load a k-tile of one of the two matrices, `kWidth` of its `kColumns` at once. A thread always has the same
/// columns; those beyond kReaders have none.
template <class Tile, int kColumns, int kWidth>
struct TileLoader {
  static constexpr int kItems = kColumns / kWidth, kLines = std::min(Tile::kThreads / kItems, Tile::kTileK);
  static constexpr int kReaders = kLines * kItems, kLoads = Tile::kTileK / kLines;
  static_assert(Tile::kTileK % kLines == 0);

  __device__ static bool has_any() { return kReaders == Tile::kThreads || threadIdx.x < kReaders; }
  __device__ static int column() { return static_cast<int>(threadIdx.x) % kItems * kWidth; }
  /// The pixel, in the k-tile, of a thread's i-th load.
  __device__ static int pixel(int i) { return i * kLines + static_cast<int>(threadIdx.x) / kItems; }
};

/// sums[slice] = what the slice's pixels add to the gradients. `kWidthC` channels of x are loaded at once, and `kWidthK` of dy. One
/// function, although it is long: its parts share the registers and buffers that they capture.
template <class Tile, int kWidthC, int kWidthK, class T>
__global__ void __launch_bounds__(Tile::kThreads)
    slices_kernel(const T* x, const T* dy, float* sums, Window window, SliceSums count, Division d) {
  constexpr int kM = Tile::kM, kN = Tile::kN, kRows = Tile::kRows, kColumns = Tile::kColumns, kTeams = Tile::kTeams;
  constexpr int kTileK = Tile::kTileK;
  using LoaderK = TileLoader<Tile, kM, kWidthK>;
  using LoaderC = TileLoader<Tile, kN, kWidthC>;
  static_assert(Tile::kThreads >= kTileK && Tile::kThreads >= kM && kM * LoaderK::kLines <= Tile::kFloats);
  using Four = Lanes<float, 4>;
  GPUCNN_SHARED(Four, memory, Tile::kFloats / 4);
  GPUCNN_SHARED(Offset, corners, 2 * kTileK);
  float* const shared = memory[0].at;

  const int thread = static_cast<int>(threadIdx.x), team = thread / Tile::kTeam;
  const int lane_m = thread % Tile::kTeam / Tile::kLanesN, lane_n = thread % Tile::kLanesN;

  for (std::int64_t block = blockIdx.x; block < d.blocks(); block += gridDim.x) {
    const int tile = static_cast<int>(block % (d.tiles_m * d.tiles_n)), slice = static_cast<int>(block / (d.tiles_m * d.tiles_n));
    const int first = slice * d.pixels, end = d.pixels < window.pixels - first ? first + d.pixels : window.pixels;
    const int m_first = tile / d.tiles_n * kM, n_first = tile % d.tiles_n * kN, k_tiles = (end - first + kTileK - 1) / kTileK;
    const int k = m_first + LoaderK::column();
    const Offset tap = tap_offset(n_first + LoaderC::column(), window);

    const auto locate = [&](int k_tile) {
      if (thread < kTileK) corners[k_tile % 2 * kTileK + thread] = corner_of(first + k_tile * kTileK + thread, end, window);
    };
    Staged<T, kWidthK> gradients[LoaderK::kLoads];
    Staged<T, kWidthC> patches[LoaderC::kLoads];
    const auto read = [&](int k_tile) {
      for (int i = 0; i < LoaderK::kLoads; ++i) {
        const int pixel = first + k_tile * kTileK + LoaderK::pixel(i);
        gradients[i] = {};
        if (pixel < end && k < window.K && LoaderK::has_any()) gradients[i].read(dy + (pixel * window.K + k));
      }
      for (int i = 0; i < LoaderC::kLoads; ++i) {
        patches[i] = {};
        if (!LoaderC::has_any()) continue;
        const Offset corner = corners[k_tile % 2 * kTileK + LoaderC::pixel(i)];
        if (is_inside(corner, tap, window)) patches[i].read(x + (corner.memory + tap.memory));
      }
    };
    float bias[kWidthK] = {};
    const auto write = [&](int k_tile) {
      float* const gradients_to = shared + k_tile % 2 * Tile::kBuffer + LoaderK::column();
      float* const patches_to = shared + k_tile % 2 * Tile::kBuffer + kTileK * kM + LoaderC::column();
      for (int i = 0; i < LoaderK::kLoads; ++i) {
        const auto wide = gradients[i].wide();
        if (LoaderK::has_any()) store(wide, gradients_to + LoaderK::pixel(i) * kM);
        for (int c = 0; c < kWidthK; ++c) bias[c] += wide.at[c];
      }
      for (int i = 0; i < LoaderC::kLoads; ++i) {
        if (LoaderC::has_any()) store(patches[i].wide(), patches_to + LoaderC::pixel(i) * kN);
      }
    };
    float products[kRows][kColumns] = {};
    const auto multiply = [&](int k_tile) {
      const float* const gradients_from = shared + k_tile % 2 * Tile::kBuffer + 4 * lane_m;
      const float* const patches_from = shared + k_tile % 2 * Tile::kBuffer + kTileK * kM + 4 * lane_n;
      GPUCNN_UNROLL
      for (int i = 0; i < Tile::kDepth; ++i) {
        const int pixel = i * kTeams + team;
        Lanes<float, 4> a[kRows / 4], b[kColumns / 4];
        for (int q = 0; q < kRows / 4; ++q) a[q] = load<4>(gradients_from + pixel * kM + 4 * q * Tile::kLanesM);
        for (int q = 0; q < kColumns / 4; ++q) b[q] = load<4>(patches_from + pixel * kN + 4 * q * Tile::kLanesN);
        for (int m = 0; m < kRows; ++m) {
          for (int n = 0; n < kColumns; ++n) products[m][n] = fmaf(a[m / 4].at[m % 4], b[n / 4].at[n % 4], products[m][n]);
        }
      }
    };

    run_main_loop(k_tiles, locate, read, write, multiply);

    for (int i = 0; i < kRows; ++i) {
      const int m = 4 * (lane_m + i / 4 * Tile::kLanesM) + i % 4;
      for (int q = 0; q < kColumns / 4; ++q) {
        const float* const four = products[i] + 4 * q;
        store(Lanes<float, 4>{{four[0], four[1], four[2], four[3]}},
              shared + (team * kM + m) * kN + 4 * (lane_n + q * Tile::kLanesN));
      }
    }
    __syncthreads();
    float* const to = sums + slice * count.all;
    for (int e = thread; e < kM * kN; e += Tile::kThreads) {
      const int m = m_first + e / kN, n = n_first + e % kN;
      if (m >= window.K || n >= window.taps()) continue;
      float sum = shared[e];
      for (int t = 1; t < kTeams; ++t) sum += shared[t * kM * kN + e];
      to[std::int64_t{m} * window.taps() + n] = sum;
    }
    __syncthreads();
    if (count.all > count.weights && n_first == 0) {
      for (int c = 0; c < kWidthK; ++c) {
        if (LoaderK::has_any()) shared[LoaderK::pixel(0) * kM + LoaderK::column() + c] = bias[c];
      }
      __syncthreads();
      if (thread < kM && m_first + thread < window.K) {
        float sum = 0;
        for (int line = 0; line < LoaderK::kLines; ++line) sum += shared[line * kM + thread];
        to[count.weights + m_first + thread] = sum;
      }
      __syncthreads();
    }
  }
}

/// As many slices, of two k-tiles or more, as fill a large GPU with blocks, and `min_slices`; the same number on every GPU.
template <class Tile>
Division divide(const Window& window, const SliceSums& count) {
  constexpr std::int64_t kMaxPixels = 8192;
  const auto ceil_div = [](std::int64_t whole, std::int64_t each) { return (whole + each - 1) / each; };
  const std::int64_t tiles_m = ceil_div(window.K, Tile::kM), tiles_n = ceil_div(window.taps(), Tile::kN);
  const std::int64_t least = min_slices(window.pixels, kMaxPixels, count);
  const std::int64_t max_slices = std::max(1, window.pixels / (2 * Tile::kTileK));
  const std::int64_t wanted = std::max(std::min(Tile::kBlocks / (tiles_m * tiles_n), max_slices), least);
  const std::int64_t pixels = ceil_div(ceil_div(window.pixels, wanted), Tile::kTileK) * Tile::kTileK;
  const auto extent = [](std::int64_t value) { return static_cast<int>(value); };
  return {extent(tiles_m), extent(tiles_n), extent(ceil_div(window.pixels, pixels)), extent(pixels)};
}

/// Elements of all tiles, those outside the gradient among them: what a tile costs.
template <class Tile>
std::int64_t tiled(const Window& window) {
  const auto whole = [](std::int64_t count, std::int64_t each) { return (count + each - 1) / each * each; };
  return whole(window.K, Tile::kM) * whole(window.taps(), Tile::kN);
}

/// The kernel that loads as many channels of each at once as their number and the memory allow.
template <class Tile, class T>
auto kernel_for(const Window& window, const T* x, const T* dy) {
  const bool wide_x = window.C % 4 == 0 && are_aligned<4>(x), wide_dy = window.K % 4 == 0 && are_aligned<4>(dy);
  if (wide_x) return wide_dy ? slices_kernel<Tile, 4, 4, T> : slices_kernel<Tile, 4, 1, T>;
  return wide_dy ? slices_kernel<Tile, 1, 4, T> : slices_kernel<Tile, 1, 1, T>;
}

}  // namespace

void conv2d_weight_grad(const Tensor& x, const Tensor& dy, const Conv2dOptions& options, Conv2dPlan::Accumulate accumulate,
                        Tensor& dweight, Tensor& dbias, Stream& stream) {
  const Window window = window_of(x.shape(), dy.shape(), options);
  const SliceSums count{dweight.numel(), dweight.numel() + (options.bias ? window.K : 0)};
  const auto run = [&]<class Tile, class T>(Tile, T) {
    const Division division = divide<Tile>(window, count);
    Tensor memory = Tensor::empty({division.slices, count.all}, DType::f32, stream.device());
    launch(stream, "conv2d_weight_grad", {division.blocks(), Tile::kThreads},
           kernel_for<Tile>(window, x.device_data<T>(), dy.device_data<T>()), x.device_data<T>(), dy.device_data<T>(),
           memory.device_data<float>(), window, count, division);
    add_slices(memory, count, {dweight, accumulate.dweight}, {dbias, accumulate.dbias}, /*may_wait=*/false, stream);
  };
  for_activation(x.dtype(), [&](auto element) {
    if (tiled<Small>(window) < tiled<Large>(window)) {
      run(Small{}, element);
    } else {
      run(Large{}, element);
    }
  });
}

}  // namespace gpucnn::kernels::cuda
