#include <gpucnn/kernels/conv/conv2d_implicit_gemm.h>

#include <algorithm>
#include <type_traits>

#include <gpucnn/kernels/activation/activation_block.h>
#include <gpucnn/kernels/activation/functors_cuda.h>
#include <gpucnn/kernels/conv/implicit_gemm.h>
#include <gpucnn/kernels/cuda/vector_access.h>

// An implicit GEMM of the patches of the input, [pixels, taps], and the weight, [taps, outputs]; implicit_gemm.h says what these
// are. The gradient of the data with a stride of 1 is a convolution too: of dy, with the window rotated by 180 degrees and the
// weight's channels exchanged. A block computes one tile of the result. Its main loop is double-buffered: k-tiles of kDepth taps go
// through shared memory, one ahead of what is multiplied.
namespace gpucnn::kernels::cuda {
namespace {

/// A tile of kM pixels and kN outputs; a thread has kRows x kColumns of them, as fours.
template <int M, int N, int Rows, int Columns, int Depth>
struct Tile {
  static constexpr int kM = M, kN = N, kRows = Rows, kColumns = Columns, kDepth = Depth;
  static constexpr int kLanesM = kM / kRows, kLanesN = kN / kColumns, kThreads = kLanesM * kLanesN;
  static constexpr int kPitchN = kN + 4;  // of a tap's weights, padded so that neighbouring taps lie in different banks
  static constexpr int kBuffer = kDepth * (kM + kPitchN);
};
// For up to 16 outputs and for more. The large ones reuse more from registers, and need blocks enough to fill the GPU.
using Narrow = Tile<128, 16, 4, 4, 16>;
using Wide = Tile<64, 32, 4, 4, 16>;
using LargeNarrow = Tile<256, 16, 8, 8, 8>;
using LargeWide = Tile<128, 32, 8, 8, 8>;
constexpr int kMinLargeTiles = 512;  // about four for each multiprocessor of a large GPU

/// Where a tap's weights begin, and how far apart those of neighbouring outputs are. For the gradient of the data the window is
/// rotated by 180 degrees, and the weight's channels are exchanged.
struct WeightLayout {
  bool backward;

  __device__ int first(int tap, const Window& window) const {
    if (tap >= window.taps()) return -1;
    const int pixels = window.kH * window.kW;
    return backward ? (tap % window.C * pixels + pixels - 1 - tap / window.C) * window.K : tap;
  }
  __device__ int pitch(const Window& window) const { return backward ? 1 : window.taps(); }
};

struct Tap {
  Offset offset;
  int weights;  // where those of this tap begin; -1: there are none
};

struct Epilogue {
  Activation function;
  bool wide;  // 4 outputs are written at once
};

template <class Tile>
__host__ __device__ std::int64_t tiles_n(const Window& window) {
  return (std::int64_t{window.K} + Tile::kN - 1) / Tile::kN;
}

template <class Tile>
__host__ __device__ std::int64_t tiles(const Window& window) {
  return (std::int64_t{window.pixels} + Tile::kM - 1) / Tile::kM * tiles_n<Tile>(window);
}

/// How a block's threads load a k-tile of patches. One value at a time: neighbouring threads load neighbouring pixels. Four
/// channels at a time: neighbouring threads load neighbouring channels of one pixel. To write these to different banks all the
/// same, the pixels are swizzled in shared memory, in another way for each four taps.
template <class Tile, int kWidth>
struct PatchLoader {
  static constexpr int kGroups = Tile::kDepth / kWidth, kLoads = kGroups * Tile::kM / Tile::kThreads;
  static constexpr int kCorners = kWidth == 1 ? 1 : kLoads;  // that differ among a thread's loads
  static_assert(kWidth == 4 || Tile::kThreads % Tile::kM == 0);
  static_assert(Tile::kM % 32 == 0 && kGroups * Tile::kM % Tile::kThreads == 0);

  /// The pixel, in the tile, and the group of taps of a thread's i-th load.
  __device__ static int pixel(int i) {
    const int thread = static_cast<int>(threadIdx.x);
    return kWidth == 1 ? thread % Tile::kM : i * (Tile::kThreads / kGroups) + thread / kGroups;
  }
  __device__ static int group(int i) {
    const int thread = static_cast<int>(threadIdx.x);
    return kWidth == 1 ? i * (Tile::kThreads / Tile::kM) + thread / Tile::kM : thread % kGroups;
  }
  /// Where the element of a pixel and tap lies in shared memory.
  __device__ static int swizzled(int tap, int pixel) {
    return tap * Tile::kM + (kWidth == 1 ? pixel : pixel ^ (tap / 4 * (32 / kGroups)));
  }
};

/// `kWidth` channels of x are loaded at once. `bias` may be null. One function, although it is long: its parts share the registers
/// and buffers that they capture.
template <class Tile, int kWidth, class T>
__global__ void __launch_bounds__(Tile::kThreads, kWidth == 1 && Tile::kN > Narrow::kN ? 4 : 0)
    convolve_kernel(const T* x, const T* weight, const T* bias, T* y, Window window, WeightLayout layout, Epilogue epilogue) {
  using Loader = PatchLoader<Tile, kWidth>;
  constexpr int kM = Tile::kM, kN = Tile::kN, kRows = Tile::kRows, kColumns = Tile::kColumns, kDepth = Tile::kDepth;
  constexpr int kWeights = kDepth * kN / Tile::kThreads;
  static_assert(kDepth * kN % Tile::kThreads == 0 && Tile::kThreads >= kDepth);
  using Four = Lanes<float, 4>;
  GPUCNN_SHARED(Four, memory, 2 * Tile::kBuffer / 4);
  GPUCNN_SHARED(Tap, taps, 2 * kDepth);
  float* const shared = memory[0].at;

  const int thread = static_cast<int>(threadIdx.x), lane_m = thread / Tile::kLanesN, lane_n = thread % Tile::kLanesN;
  const int k_tiles = (window.taps() + kDepth - 1) / kDepth, weight_pitch = layout.pitch(window);

  for (std::int64_t block = blockIdx.x; block < tiles<Tile>(window); block += gridDim.x) {
    const int m_first = static_cast<int>(block / tiles_n<Tile>(window)) * kM;
    const int n_first = static_cast<int>(block % tiles_n<Tile>(window)) * kN;
    Offset corners[Loader::kCorners];
    for (int i = 0; i < Loader::kCorners; ++i) corners[i] = corner_of(m_first + Loader::pixel(i), window.pixels, window);

    const auto locate = [&](int k_tile) {
      const int tap = k_tile * kDepth + thread;
      if (thread < kDepth) taps[k_tile % 2 * kDepth + thread] = {tap_offset(tap, window), layout.first(tap, window)};
    };
    Lanes<T, kWidth> patches[Loader::kLoads];
    T weights[kWeights];
    // Forward, the weights of an output are contiguous, backward those of a tap.
    const auto tap_of = [&](int i) {
      const int item = i * Tile::kThreads + thread;
      return layout.backward ? item / kN : item % kDepth;
    };
    const auto output_of = [&](int i) {
      const int item = i * Tile::kThreads + thread;
      return layout.backward ? item % kN : item / kDepth;
    };
    const auto read = [&](int k_tile) {
      const Tap* const at = taps + k_tile % 2 * kDepth;
      for (int i = 0; i < Loader::kLoads; ++i) {
        const Offset tap = at[Loader::group(i) * kWidth].offset, corner = corners[i % Loader::kCorners];
        patches[i] = {};
        if (is_inside(corner, tap, window)) patches[i] = load<kWidth>(x + (corner.memory + tap.memory));
      }
      for (int i = 0; i < kWeights; ++i) {
        const int begin = at[tap_of(i)].weights, n = n_first + output_of(i);
        weights[i] = {};
        if (begin >= 0 && n < window.K) weights[i] = weight[begin + n * weight_pitch];
      }
    };
    const auto write = [&](int k_tile) {
      float* const patches_to = shared + k_tile % 2 * Tile::kBuffer;
      float* const weights_to = patches_to + kDepth * kM;
      for (int i = 0; i < Loader::kLoads; ++i) {
        const int tap = Loader::group(i) * kWidth;
        for (int c = 0; c < kWidth; ++c) patches_to[Loader::swizzled(tap + c, Loader::pixel(i))] = widen(patches[i].at[c]);
      }
      for (int i = 0; i < kWeights; ++i) weights_to[tap_of(i) * Tile::kPitchN + output_of(i)] = widen(weights[i]);
    };
    float sums[kRows][kColumns] = {};
    const auto multiply = [&](int k_tile) {
      const float* const patches_from = shared + k_tile % 2 * Tile::kBuffer;
      const float* const weights_from = patches_from + kDepth * kM;
      GPUCNN_UNROLL
      for (int tap = 0; tap < kDepth; ++tap) {
        Lanes<float, 4> a[kRows / 4], b[kColumns / 4];
        for (int q = 0; q < kRows / 4; ++q) a[q] = load<4>(patches_from + Loader::swizzled(tap, 4 * (lane_m + q * Tile::kLanesM)));
        for (int q = 0; q < kColumns / 4; ++q) {
          b[q] = load<4>(weights_from + tap * Tile::kPitchN + 4 * (lane_n + q * Tile::kLanesN));
        }
        for (int i = 0; i < kRows; ++i) {
          for (int j = 0; j < kColumns; ++j) sums[i][j] = fmaf(a[i / 4].at[i % 4], b[j / 4].at[j % 4], sums[i][j]);
        }
      }
    };

    run_main_loop(k_tiles, locate, read, write, multiply);

    for (int q = 0; q < kColumns / 4; ++q) {
      const int n = n_first + 4 * (lane_n + q * Tile::kLanesN);
      float biases[4];
      for (int j = 0; j < 4; ++j) biases[j] = bias && n + j < window.K ? widen(bias[n + j]) : 0.0F;
      for (int i = 0; i < kRows; ++i) {
        const int pixel = m_first + 4 * (lane_m + i / 4 * Tile::kLanesM) + i % 4;
        if (pixel >= window.pixels || n >= window.K) continue;
        Lanes<T, 4> out;
        for (int j = 0; j < 4; ++j) {
          const float sum = sums[i][4 * q + j] + biases[j];
          out.at[j] = narrow<T>(activate_simple(epilogue.function, sum));
        }
        T* const to = y + std::int64_t{pixel} * window.K + n;
        if (epilogue.wide) {
          store(out, to);
        } else {
          for (int j = 0; j < 4; ++j) {
            if (n + j < window.K) to[j] = out.at[j];
          }
        }
      }
    }
  }
}

/// Calls `launch_with` with the tile to compute by and the number of channels to load at once. The large tiles are for f32.
template <class T, class Launch>
void choose(const Window& window, bool fours, const Launch& launch_with) {
  constexpr bool kLarge = std::is_same_v<T, float>;
  constexpr std::integral_constant<int, 1> kOne;
  constexpr std::integral_constant<int, 4> kFour;
  if (window.K <= Narrow::kN) {
    if (!fours) return launch_with(Narrow{}, kOne);
    if constexpr (kLarge) {
      if (tiles<LargeNarrow>(window) >= kMinLargeTiles) return launch_with(LargeNarrow{}, kFour);
    }
    return launch_with(Narrow{}, kFour);
  }
  if (!fours) return launch_with(Wide{}, kOne);
  if constexpr (kLarge) {
    if (tiles<LargeWide>(window) >= kMinLargeTiles) return launch_with(LargeWide{}, kFour);
  }
  launch_with(Wide{}, kFour);
}

void convolve(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& function, const Window& window,
              WeightLayout layout, Tensor& y, Stream& stream) {
  for_activation(x.dtype(), [&]<class T>(T) {
    const Epilogue epilogue{function, window.K % 4 == 0 && are_aligned<4>(y.device_data<T>())};
    const T* const biases = bias.defined() ? bias.device_data<T>() : nullptr;
    const bool fours = window.C % 4 == 0 && are_aligned<4>(x.device_data<T>());
    choose<T>(window, fours, [&]<class Tile, int kWidth>(Tile, std::integral_constant<int, kWidth>) {
      launch(stream, "conv2d", {tiles<Tile>(window), Tile::kThreads}, convolve_kernel<Tile, kWidth, T>, x.device_data<T>(),
             weight.device_data<T>(), biases, y.device_data<T>(), window, layout, epilogue);
    });
  });
}

}  // namespace

bool conv2d_counts_in_int(const Shape& x, const Shape& weight, const Shape& y, const Conv2dOptions& options) {
  constexpr std::int64_t kMaxElements = (std::int64_t{1} << 31) - (1 << 16), kMaxExtent = 1 << 28;
  const auto near = [](std::int64_t extent, int kernel, int stride, int padding, int dilation) {
    return std::max({extent, std::int64_t{stride}, std::int64_t{padding}, std::int64_t{dilation} * kernel}) < kMaxExtent;
  };
  const auto& [kernel, stride, padding, dilation, groups, bias] = options;
  return std::max({x.numel(), weight.numel(), y.numel()}) < kMaxElements &&
         near(x[2], kernel.height, stride.height, std::max(padding.top, padding.bottom), dilation.height) &&
         near(x[3], kernel.width, stride.width, std::max(padding.left, padding.right), dilation.width);
}

void conv2d_implicit_gemm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options,
                          const Activation& epilogue, Tensor& y, Stream& stream) {
  const bool apart = activation_has_exponential(epilogue);
  convolve(x, weight, bias, apart ? Activation{} : epilogue, window_of(x.shape(), y.shape(), options), {.backward = false}, y,
           stream);
  if (apart) activation(y, epilogue, y, stream);
}

void conv2d_implicit_gemm_backward_data(const Tensor& dy, const Tensor& weight, const Conv2dOptions& options, Tensor& dx,
                                        Stream& stream) {
  Window window = window_of(dy.shape(), dx.shape(), options);
  window.padding_h = window.dilation_h * (window.kH - 1) - window.padding_h;
  window.padding_w = window.dilation_w * (window.kW - 1) - window.padding_w;
  convolve(dy, weight, {}, {}, window, {.backward = true}, dx, stream);
}

}  // namespace gpucnn::kernels::cuda
