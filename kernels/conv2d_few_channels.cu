#include <gpucnn/kernels/conv2d_few_channels.h>

#include <gpucnn/core/launch.h>
#include <gpucnn/kernels/elements.h>

// A product of two matrices: of the patches of the input, [places, taps], and of the weight, [taps, outputs]. A place is a pixel of
// the output in some image, a tap an element (r, s, c) of the window over the input. The gradient of the data with a stride of 1 is
// a convolution too: of dy, with the window turned round and the weight's channels exchanged. A block multiplies one tile of the
// result; it brings kDepth taps at a time to shared memory, one stage ahead of what it multiplies.
namespace gpucnn::kernels::cuda {
namespace {

/// kM places and kN outputs; a thread has kRows x kColumns of them, as fours.
template <int M, int N, int Rows, int Columns, int Depth>
struct Tile {
  static constexpr int kM = M, kN = N, kRows = Rows, kColumns = Columns, kDepth = Depth;
  static constexpr int kLanesM = kM / kRows, kLanesN = kN / kColumns, kThreads = kLanesM * kLanesN;
  static constexpr int kPitchN = kN + 4;  // of a tap's weights: neighbouring taps are written to different banks
  static constexpr int kBuffer = kDepth * (kM + kPitchN);
};
// For up to 16 outputs and for more, and the same where there are blocks enough for threads that do more each.
using Narrow = Tile<128, 16, 4, 4, 16>;
using Wide = Tile<64, 32, 4, 4, 16>;
using LargeNarrow = Tile<256, 16, 8, 8, 8>;
using LargeWide = Tile<128, 32, 8, 8, 8>;
constexpr int kManyBlocks = 1024;

/// As the kernel sees them: of the gradient, the input is dy. No tensor has 2^31 elements.
struct Sizes {
  int places;
  int C, H, W;    // input
  int K, Ho, Wo;  // output
  int kH, kW, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  bool backward;

  __host__ __device__ int taps() const { return kH * kW * C; }
};

/// Where a window begins: in its image, which may be outside of it, and in memory.
struct Corner {
  int offset, h, w;
};

/// How far a tap is from there, and where its weights begin.
struct Step {
  int offset, h, w, weights;
};

constexpr int kNowhere = -(1 << 29);  // a row from which no tap leads into the image

__device__ Corner corner_of(int place, const Sizes& s) {
  if (place >= s.places) return {0, kNowhere, 0};
  const int line = place / s.Wo, n = line / s.Ho;
  const int h = (line - n * s.Ho) * s.stride_h - s.padding_h, w = (place - line * s.Wo) * s.stride_w - s.padding_w;
  return {((n * s.H + h) * s.W + w) * s.C, h, w};
}

__device__ Step step_to(int tap, const Sizes& s) {
  if (tap >= s.taps()) return {0, kNowhere, 0, -1};
  const int pixel = tap / s.C, c = tap % s.C, h = pixel / s.kW * s.dilation_h, w = pixel % s.kW * s.dilation_w;
  const int turned = (c * s.kH * s.kW + s.kH * s.kW - 1 - pixel) * s.K;
  return {(h * s.W + w) * s.C + c, h, w, s.backward ? turned : tap};
}

__device__ bool is_inside(int at, int size) { return static_cast<unsigned>(at) < static_cast<unsigned>(size); }

/// How a block's threads read a stage's patches. One value at a time: neighbouring threads read neighbouring places. Four channels
/// at a time: neighbouring threads read neighbouring channels of one place, and so that they write to different banks nevertheless,
/// the places of each four taps are rotated.
template <class Tile, int kWidth>
struct Reading {
  static constexpr int kGroups = Tile::kDepth / kWidth, kLoads = kGroups * Tile::kM / Tile::kThreads;
  static constexpr int kCorners = kWidth == 1 ? 1 : kLoads;  // that differ among a thread's loads
  static_assert(kWidth == 4 || Tile::kThreads % Tile::kM == 0);
  static_assert(Tile::kM % 32 == 0 && kGroups * Tile::kM % Tile::kThreads == 0);

  /// The i-th place and group of taps of a thread.
  __device__ static int place(int i) {
    const int thread = static_cast<int>(threadIdx.x);
    return kWidth == 1 ? thread % Tile::kM : i * (Tile::kThreads / kGroups) + thread / kGroups;
  }
  __device__ static int group(int i) {
    const int thread = static_cast<int>(threadIdx.x);
    return kWidth == 1 ? i * (Tile::kThreads / Tile::kM) + thread / Tile::kM : thread % kGroups;
  }
  /// Where the place of a tap is kept.
  __device__ static int kept(int tap, int place) {
    return tap * Tile::kM + (kWidth == 1 ? place : place ^ tap / 4 * (32 / kGroups));
  }
};

/// `kWidth` channels of x are read at once, 4 outputs are written at once if `wide`. `bias` may be null.
template <class Tile, int kWidth, class T>
__global__ void convolve_kernel(const T* x, const T* weight, const T* bias, bool relu, bool wide, T* y, Sizes s) {
  using Read = Reading<Tile, kWidth>;
  constexpr int kM = Tile::kM, kN = Tile::kN, kRows = Tile::kRows, kColumns = Tile::kColumns, kDepth = Tile::kDepth;
  constexpr int kWeights = kDepth * kN / Tile::kThreads;
  static_assert(kDepth * kN % Tile::kThreads == 0 && Tile::kThreads >= kDepth);
  using Four = Lanes<float, 4>;
  GPUCNN_SHARED(Four, memory, 2 * Tile::kBuffer / 4);
  GPUCNN_SHARED(Step, steps, 2 * kDepth);
  float* const shared = memory[0].at;

  const int thread = static_cast<int>(threadIdx.x), lane_m = thread / Tile::kLanesN, lane_n = thread % Tile::kLanesN;
  const int tiles_n = (s.K + kN - 1) / kN, stages = (s.taps() + kDepth - 1) / kDepth;
  const std::int64_t blocks = std::int64_t{(s.places + kM - 1) / kM} * tiles_n;
  const int weight_pitch = s.backward ? 1 : s.taps();

  for (std::int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const int m_first = static_cast<int>(block / tiles_n) * kM, n_first = static_cast<int>(block % tiles_n) * kN;
    Corner corners[Read::kCorners];
    for (int i = 0; i < Read::kCorners; ++i) corners[i] = corner_of(m_first + Read::place(i), s);

    const auto find_steps = [&](int stage) {
      if (thread < kDepth) steps[stage % 2 * kDepth + thread] = step_to(stage * kDepth + thread, s);
    };
    Lanes<T, kWidth> patches[Read::kLoads];
    T weights[kWeights];
    // Forward, a tap's weights lie apart and an output's together; backward it is the other way round.
    const auto tap_of = [&](int i) {
      const int item = i * Tile::kThreads + thread;
      return s.backward ? item / kN : item % kDepth;
    };
    const auto output_of = [&](int i) {
      const int item = i * Tile::kThreads + thread;
      return s.backward ? item % kN : item / kDepth;
    };
    const auto read = [&](int stage) {
      const Step* const at = steps + stage % 2 * kDepth;
      for (int i = 0; i < Read::kLoads; ++i) {
        const Step step = at[Read::group(i) * kWidth];
        const Corner corner = corners[i % Read::kCorners];
        patches[i] = {};
        if (is_inside(corner.h + step.h, s.H) && is_inside(corner.w + step.w, s.W)) {
          patches[i] = load<kWidth>(x + (corner.offset + step.offset));
        }
      }
      for (int i = 0; i < kWeights; ++i) {
        const int begin = at[tap_of(i)].weights, n = n_first + output_of(i);
        weights[i] = {};
        if (begin >= 0 && n < s.K) weights[i] = weight[begin + n * weight_pitch];
      }
    };
    const auto keep = [&](int stage) {
      float* const patches_to = shared + stage % 2 * Tile::kBuffer;
      float* const weights_to = patches_to + kDepth * kM;
      for (int i = 0; i < Read::kLoads; ++i) {
        const int tap = Read::group(i) * kWidth;
        for (int c = 0; c < kWidth; ++c) patches_to[Read::kept(tap + c, Read::place(i))] = widen(patches[i].at[c]);
      }
      for (int i = 0; i < kWeights; ++i) weights_to[tap_of(i) * Tile::kPitchN + output_of(i)] = widen(weights[i]);
    };
    float sums[kRows][kColumns] = {};
    const auto multiply = [&](int stage) {
      const float* const patches_from = shared + stage % 2 * Tile::kBuffer;
      const float* const weights_from = patches_from + kDepth * kM;
      GPUCNN_UNROLL
      for (int tap = 0; tap < kDepth; ++tap) {
        Lanes<float, 4> a[kRows / 4], b[kColumns / 4];
        for (int q = 0; q < kRows / 4; ++q) a[q] = load<4>(patches_from + Read::kept(tap, 4 * (lane_m + q * Tile::kLanesM)));
        for (int q = 0; q < kColumns / 4; ++q) {
          b[q] = load<4>(weights_from + tap * Tile::kPitchN + 4 * (lane_n + q * Tile::kLanesN));
        }
        for (int i = 0; i < kRows; ++i) {
          for (int j = 0; j < kColumns; ++j) sums[i][j] = fmaf(a[i / 4].at[i % 4], b[j / 4].at[j % 4], sums[i][j]);
        }
      }
    };

    find_steps(0);
    __syncthreads();
    read(0);
    find_steps(1);
    keep(0);
    __syncthreads();
    for (int stage = 0; stage < stages; ++stage) {
      const bool more = stage + 1 < stages;
      if (more) read(stage + 1);
      find_steps(stage + 2);
      multiply(stage);
      if (more) keep(stage + 1);
      __syncthreads();
    }

    for (int q = 0; q < kColumns / 4; ++q) {
      const int n = n_first + 4 * (lane_n + q * Tile::kLanesN);
      float biases[4];
      for (int j = 0; j < 4; ++j) biases[j] = bias && n + j < s.K ? widen(bias[n + j]) : 0.0F;
      for (int i = 0; i < kRows; ++i) {
        const int place = m_first + 4 * (lane_m + i / 4 * Tile::kLanesM) + i % 4;
        if (place >= s.places || n >= s.K) continue;
        Lanes<T, 4> out;
        for (int j = 0; j < 4; ++j) {
          const float sum = sums[i][4 * q + j] + biases[j];
          out.at[j] = narrow<T>(relu && sum < 0 ? 0.0F : sum);
        }
        T* const to = y + std::int64_t{place} * s.K + n;
        if (wide) {
          store(out, to);
        } else {
          for (int j = 0; j < 4; ++j) {
            if (n + j < s.K) to[j] = out.at[j];
          }
        }
      }
    }
  }
}

/// `in` and `out`: the tensors' shapes, as the kernel sees them.
Sizes sizes_of(const Shape& in, const Shape& out, const Conv2dOptions& options) {
  const auto extent = [](std::int64_t value) { return static_cast<int>(value); };
  Sizes s{};
  s.C = extent(in[1]), s.H = extent(in[2]), s.W = extent(in[3]);
  s.K = extent(out[1]), s.Ho = extent(out[2]), s.Wo = extent(out[3]);
  s.places = extent(out[0] * out[2] * out[3]);
  s.kH = options.kernel_size.height, s.kW = options.kernel_size.width;
  s.stride_h = options.stride.height, s.stride_w = options.stride.width;
  s.padding_h = options.padding.height, s.padding_w = options.padding.width;
  s.dilation_h = options.dilation.height, s.dilation_w = options.dilation.width;
  return s;
}

template <class Tile>
std::int64_t blocks_of(const Sizes& s) {
  return std::int64_t{(s.places + Tile::kM - 1) / Tile::kM} * ((s.K + Tile::kN - 1) / Tile::kN);
}

/// Calls `run` with the tile to compute by and the number of channels to read at once. The large ones are for f32.
template <class T, class Run>
void choose(const Sizes& s, bool fours, const Run& run) {
  constexpr bool kLarge = std::is_same_v<T, float>;
  constexpr std::integral_constant<int, 1> kOne;
  constexpr std::integral_constant<int, 4> kFour;
  if (s.K <= Narrow::kN) {
    if (!fours) return run(Narrow{}, kOne);
    if constexpr (kLarge) {
      if (blocks_of<LargeNarrow>(s) >= kManyBlocks) return run(LargeNarrow{}, kFour);
    }
    return run(Narrow{}, kFour);
  }
  if (!fours) return run(Wide{}, kOne);
  if constexpr (kLarge) {
    if (blocks_of<LargeWide>(s) >= kManyBlocks) return run(LargeWide{}, kFour);
  }
  run(Wide{}, kFour);
}

void convolve(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu, const Sizes& s, Tensor& y, Stream& stream) {
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* const biases = bias.defined() ? bias.data<T>() : nullptr;
    const bool wide = s.K % 4 == 0 && are_aligned<4>(y.data<T>());
    choose<T>(s, s.C % 4 == 0 && are_aligned<4>(x.data<T>()),
              [&]<class Tile, int kWidth>(Tile, std::integral_constant<int, kWidth>) {
                launch(stream, "conv2d", {blocks_of<Tile>(s), Tile::kThreads}, convolve_kernel<Tile, kWidth, T>, x.data<T>(),
                       weight.data<T>(), biases, relu, wide, y.data<T>(), s);
              });
  });
}

}  // namespace

void conv2d_few_channels(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options, bool relu,
                         Tensor& y, Stream& stream) {
  convolve(x, weight, bias, relu, sizes_of(x.shape(), y.shape(), options), y, stream);
}

void conv2d_few_channels_backward_data(const Tensor& dy, const Tensor& weight, const Conv2dOptions& options, Tensor& dx,
                                       Stream& stream) {
  Sizes s = sizes_of(dy.shape(), dx.shape(), options);
  s.padding_h = s.dilation_h * (s.kH - 1) - s.padding_h;
  s.padding_w = s.dilation_w * (s.kW - 1) - s.padding_w;
  s.backward = true;
  convolve(dy, weight, {}, false, s, dx, stream);
}

}  // namespace gpucnn::kernels::cuda
