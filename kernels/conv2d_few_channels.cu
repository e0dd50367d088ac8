#include <gpucnn/kernels/conv2d_few_channels.h>

#include <gpucnn/core/launch.h>
#include <gpucnn/kernels/elements.h>

// A product of two matrices: of the patches of the input, [places, taps], and of the weight, [taps, outputs]. A place is a pixel of
// the output in some image, a tap an element (r, s, c) of the window over the input. The gradient of the data with a stride of 1 is
// a convolution too: of dy, with the window turned round and the weight's channels exchanged. A block multiplies one tile of the
// result; it brings kDepth taps at a time to shared memory, one stage ahead of what it multiplies.
namespace gpucnn::kernels::cuda {
namespace {

/// kM places and kN outputs; a thread has kRows x kColumns of them.
template <int M, int N>
struct Tile {
  static constexpr int kM = M, kN = N, kRows = 4, kColumns = 4;
  static constexpr int kLanesN = kN / kColumns, kThreads = kM / kRows * kLanesN;
  static constexpr int kDepth = 16;       // taps of a stage
  static constexpr int kPitchN = kN + 4;  // of a tap's weights: neighbouring taps are written to different banks
  static constexpr int kBuffer = kDepth * (kM + kPitchN);
};
using Narrow = Tile<128, 16>;
using Wide = Tile<64, 32>;

/// As the kernel sees them: of the gradient, the input is dy.
struct Sizes {
  std::int64_t places;
  int C, H, W;    // input
  int K, Ho, Wo;  // output
  int kH, kW, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
  bool backward;

  __host__ __device__ int taps() const { return kH * kW * C; }
};

/// Where a window begins, in its image, which may be outside of it, and in memory; or how far a tap is from there, and where its
/// weights begin.
struct Corner {
  std::int64_t offset;
  int h, w;
};
struct Step {
  std::int64_t offset, weights;
  int h, w;
};

constexpr int kNowhere = -(1 << 29);  // a row from which no tap leads into the image

__device__ Corner corner_of(std::int64_t place, const Sizes& s) {
  if (place >= s.places) return {0, kNowhere, 0};
  const std::int64_t line = place / s.Wo, n = line / s.Ho;
  const int h = static_cast<int>(line % s.Ho) * s.stride_h - s.padding_h;
  const int w = static_cast<int>(place % s.Wo) * s.stride_w - s.padding_w;
  return {((n * s.H + h) * s.W + w) * s.C, h, w};
}

__device__ Step step_to(int tap, const Sizes& s) {
  if (tap >= s.taps()) return {0, -1, kNowhere, 0};
  const int pixel = tap / s.C, c = tap % s.C, h = pixel / s.kW * s.dilation_h, w = pixel % s.kW * s.dilation_w;
  const std::int64_t turned = (std::int64_t{c} * s.kH * s.kW + s.kH * s.kW - 1 - pixel) * s.K;
  return {(std::int64_t{h} * s.W + w) * s.C + c, s.backward ? turned : tap, h, w};
}

/// `kWidth` channels of x are read at once, 4 outputs are written at once if `wide`. `bias` may be null.
template <class Tile, int kWidth, class T>
__global__ void convolve_kernel(const T* x, const T* weight, const T* bias, bool relu, bool wide, T* y, Sizes s) {
  constexpr int kM = Tile::kM, kN = Tile::kN, kRows = Tile::kRows, kColumns = Tile::kColumns, kDepth = Tile::kDepth;
  constexpr int kThreads = Tile::kThreads;
  constexpr int kStrides = kThreads / kM, kLoads = kDepth / kWidth / kStrides, kWeights = kDepth * kN / kThreads;
  static_assert(kThreads % kM == 0 && kDepth / kWidth % kStrides == 0 && kDepth * kN % kThreads == 0 && kThreads >= kDepth);
  using Four = Lanes<float, 4>;
  GPUCNN_SHARED(Four, memory, 2 * Tile::kBuffer / 4);
  GPUCNN_SHARED(Step, steps, 2 * kDepth);
  float* const shared = memory[0].at;

  const int thread = static_cast<int>(threadIdx.x), lane_m = thread / Tile::kLanesN, lane_n = thread % Tile::kLanesN;
  const int row = thread % kM, group = thread / kM;  // the place whose patch this thread reads, and the first of its groups of taps
  const int tiles_n = (s.K + kN - 1) / kN, stages = (s.taps() + kDepth - 1) / kDepth;
  const std::int64_t blocks = (s.places + kM - 1) / kM * tiles_n, weight_pitch = s.backward ? 1 : s.taps();

  for (std::int64_t block = blockIdx.x; block < blocks; block += gridDim.x) {
    const std::int64_t m_first = block / tiles_n * kM;
    const int n_first = static_cast<int>(block % tiles_n) * kN;
    const Corner corner = corner_of(m_first + row, s);

    const auto find_steps = [&](int stage) {
      if (thread < kDepth) steps[stage % 2 * kDepth + thread] = step_to(stage * kDepth + thread, s);
    };
    Lanes<T, kWidth> patches[kLoads];
    T weights[kWeights];
    // Forward, a tap's weights lie apart and an output's together; backward it is the other way round.
    const auto tap_of = [&](int i) { return s.backward ? (i * kThreads + thread) / kN : (i * kThreads + thread) % kDepth; };
    const auto output_of = [&](int i) { return s.backward ? (i * kThreads + thread) % kN : (i * kThreads + thread) / kDepth; };
    const auto read = [&](int stage) {
      const Step* const at = steps + stage % 2 * kDepth;
      for (int i = 0; i < kLoads; ++i) {
        const Step& step = at[(i * kStrides + group) * kWidth];
        const int h = corner.h + step.h, w = corner.w + step.w;
        patches[i] = {};
        if (h >= 0 && h < s.H && w >= 0 && w < s.W) patches[i] = load<kWidth>(x + corner.offset + step.offset);
      }
      for (int i = 0; i < kWeights; ++i) {
        const std::int64_t begin = at[tap_of(i)].weights;
        const int n = n_first + output_of(i);
        weights[i] = {};
        if (begin >= 0 && n < s.K) weights[i] = weight[begin + n * weight_pitch];
      }
    };
    const auto keep = [&](int stage) {
      float* const patches_to = shared + stage % 2 * Tile::kBuffer;
      float* const weights_to = patches_to + kDepth * kM;
      for (int i = 0; i < kLoads; ++i) {
        for (int c = 0; c < kWidth; ++c) {
          patches_to[((i * kStrides + group) * kWidth + c) * kM + row] = widen(patches[i].at[c]);
        }
      }
      for (int i = 0; i < kWeights; ++i) weights_to[tap_of(i) * Tile::kPitchN + output_of(i)] = widen(weights[i]);
    };
    float sums[kRows][kColumns] = {};
    const auto multiply = [&](int stage) {
      const float* const patches_from = shared + stage % 2 * Tile::kBuffer + lane_m * kRows;
      const float* const weights_from = shared + stage % 2 * Tile::kBuffer + kDepth * kM + lane_n * kColumns;
      for (int k = 0; k < kDepth; ++k) {
        const auto a = load<kRows>(patches_from + k * kM);
        const auto b = load<kColumns>(weights_from + k * Tile::kPitchN);
        for (int i = 0; i < kRows; ++i) {
          for (int j = 0; j < kColumns; ++j) sums[i][j] = fmaf(a.at[i], b.at[j], sums[i][j]);
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

    const int n = n_first + lane_n * kColumns;
    for (int i = 0; i < kRows; ++i) {
      const std::int64_t place = m_first + lane_m * kRows + i;
      if (place >= s.places || n >= s.K) continue;
      Lanes<T, kColumns> out;
      for (int j = 0; j < kColumns; ++j) {
        float sum = sums[i][j] + (bias && n + j < s.K ? widen(bias[n + j]) : 0.0F);
        if (relu && sum < 0) sum = 0;
        out.at[j] = narrow<T>(sum);
      }
      T* const to = y + place * s.K + n;
      if (wide) {
        store(out, to);
      } else {
        for (int j = 0; j < kColumns; ++j) {
          if (n + j < s.K) to[j] = out.at[j];
        }
      }
    }
  }
}

int extent(std::int64_t value) { return static_cast<int>(value); }

/// `in` and `out`: the tensors' shapes, as the kernel sees them.
Sizes sizes_of(const Shape& in, const Shape& out, const Conv2dOptions& options) {
  Sizes s{};
  s.C = extent(in[1]), s.H = extent(in[2]), s.W = extent(in[3]);
  s.K = extent(out[1]), s.Ho = extent(out[2]), s.Wo = extent(out[3]);
  s.places = out[0] * s.Ho * s.Wo;
  s.kH = options.kernel_size.height, s.kW = options.kernel_size.width;
  s.stride_h = options.stride.height, s.stride_w = options.stride.width;
  s.padding_h = options.padding.height, s.padding_w = options.padding.width;
  s.dilation_h = options.dilation.height, s.dilation_w = options.dilation.width;
  return s;
}

template <class Tile, class T>
void run(const Tensor& x, const Tensor& weight, const T* bias, bool relu, const Sizes& s, Tensor& y, Stream& stream) {
  const std::int64_t blocks = (s.places + Tile::kM - 1) / Tile::kM * ((s.K + Tile::kN - 1) / Tile::kN);
  const bool wide = s.K % 4 == 0 && are_aligned<4>(y.data<T>());
  const auto kernel = s.C % 4 == 0 && are_aligned<4>(x.data<T>()) ? convolve_kernel<Tile, 4, T> : convolve_kernel<Tile, 1, T>;
  launch(stream, "conv2d", {blocks, Tile::kThreads}, kernel, x.data<T>(), weight.data<T>(), bias, relu, wide, y.data<T>(), s);
}

void convolve(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu, const Sizes& s, Tensor& y, Stream& stream) {
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* from = bias.defined() ? bias.data<T>() : nullptr;
    if (s.K <= Narrow::kN) {
      run<Narrow>(x, weight, from, relu, s, y, stream);
    } else {
      run<Wide>(x, weight, from, relu, s, y, stream);
    }
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
