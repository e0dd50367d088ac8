#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/memory/layout.h>
#include <gpucnn/kernels/activation/dropout_mask.h>
#include <gpucnn/kernels/activation/twins.h>
#include <gpucnn/kernels/cuda/vector_access.h>

namespace gpucnn::kernels {
namespace cuda {
namespace {

constexpr int kAtOnce = 2;

/// Elements whose memory is in logical order and aligned: a thread that holds four of them draws one block for them.
template <class T>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(DropoutMask captured, const StepState* state, const T* x, T* y, std::int64_t count) {
  const DropoutMask mask = captured.todays(state);
  for_elements<kAtOnce>(
      count, true, [=](auto width, std::int64_t i) { return load<width>(x + i); },
      [=]<int kWidth>(std::int64_t i, Lanes<T, kWidth> values) {
        const auto words = mask.random.block(static_cast<std::uint64_t>(i) / 4);
        if constexpr (kWidth == 4) {
          for (int k = 0; k < kWidth; ++k) values.at[k] = narrow<T>(widen(values.at[k]) * mask.factor(words[k]));
        } else {
          values.at[0] = narrow<T>(widen(values.at[0]) * mask.factor(word_of(words, i % 4)));
        }
        store(values, y + i);
      });
}

/// Planes of channels-last images, or any memory in logical order as one plane. A thread draws one block of words and looks for its
/// four elements in one plane, where they are neighbouring pixels; neighbouring threads take neighbouring channels. A block across
/// the border of two planes is drawn for each. `blocks` counts the blocks that a plane can meet.
template <class T>
__global__ void __launch_bounds__(kThreads)
    dropout_planes_kernel(DropoutMask captured, const StepState* state, const T* x, T* y, std::int64_t N, std::int64_t C,
                          std::int64_t pixels, std::int64_t blocks) {
  const DropoutMask mask = captured.todays(state);
  const std::int64_t stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t t = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; t < N * blocks * C; t += stride) {
    const std::int64_t c = t % C, n = t / C / blocks, first = (n * C + c) * pixels;  // logical index of the plane
    const std::int64_t block = first / 4 + t / C % blocks, pixel = 4 * block - first, index = (n * pixels + pixel) * C + c;
    float values[4]{};
    for (int k = 0; k < 4; ++k) {
      if (pixel + k >= 0 && pixel + k < pixels) values[k] = widen(x[index + k * C]);
    }
    const auto words = mask.random.block(static_cast<std::uint64_t>(block));
    for (int k = 0; k < 4; ++k) {
      if (pixel + k >= 0 && pixel + k < pixels) y[index + k * C] = narrow<T>(values[k] * mask.factor(words[k]));
    }
  }
}

/// Channels-last images whose channels have one factor each. A thread takes `kWidth` channels of up to kPixels pixels.
constexpr std::int64_t kPixels = 8;

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads) dropout2d_kernel(DropoutMask captured, const StepState* state, const T* x, T* y,
                                                             std::int64_t N, std::int64_t C, std::int64_t pixels) {
  const DropoutMask mask = captured.todays(state);
  const std::int64_t groups = C / kWidth, parts = (pixels + kPixels - 1) / kPixels, stride = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t t = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; t < N * parts * groups; t += stride) {
    const std::int64_t c = t % groups * kWidth, n = t / groups / parts, first = t / groups % parts * kPixels;
    const std::int64_t e = n * C + c;
    const auto words = mask.random.block(static_cast<std::uint64_t>(e) / 4);
    float factors[kWidth];
    for (int k = 0; k < kWidth; ++k) factors[k] = mask.factor(kWidth == 4 ? words[k] : word_of(words, e % 4));
    for (std::int64_t pixel = first; pixel < first + kPixels && pixel < pixels; ++pixel) {
      const std::int64_t index = (n * pixels + pixel) * C + c;
      auto values = load<kWidth>(x + index);
      for (int k = 0; k < kWidth; ++k) values.at[k] = narrow<T>(widen(values.at[k]) * factors[k]);
      store(values, y + index);
    }
  }
}

template <class T>
void run(const Tensor& x, const DropoutMask& mask, Tensor& y, const Stream& stream) {
  const T* from = x.device_data<T>();
  T* to = y.device_data<T>();
  const StepState* state = gpu::queue(stream.device()).step_state();
  const bool one_plane = layout::is_same(x.shape());
  if (one_plane && are_aligned<4>(from, to)) {
    launch(stream, "dropout", element_grid(stream, x.numel(), true, kAtOnce), dropout_kernel<T>, mask, state, from, to, x.numel());
    return;
  }
  const std::int64_t N = one_plane ? 1 : x.dim(0), C = one_plane ? 1 : x.dim(1);
  const std::int64_t pixels = one_plane ? x.numel() : x.dim(2) * x.dim(3);
  // Where planes begin anywhere in a block, the first block may hold but one element.
  const std::int64_t blocks = pixels % 4 == 0 ? pixels / 4 : (pixels + 2) / 4 + 1;
  launch(stream, "dropout", grid(stream, N * blocks * C), dropout_planes_kernel<T>, mask, state, from, to, N, C, pixels, blocks);
}

}  // namespace
}  // namespace cuda

void cuda::dropout(const Tensor& x, double p, const RandomStream& random, Tensor& y, Stream& stream) {
  for_activation(x.dtype(), [&]<class T>(T) { run<T>(x, DropoutMask::of(p, random), y, stream); });
}

void cuda::dropout2d(const Tensor& x, double p, const RandomStream& random, Tensor& y, Stream& stream) {
  const std::int64_t N = x.dim(0), C = x.dim(1), pixels = x.dim(2) * x.dim(3);
  const StepState* state = gpu::queue(stream.device()).step_state();
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* from = x.device_data<T>();
    T* to = y.device_data<T>();
    const auto run = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
      const LaunchShape shape = grid(stream, N * ((pixels + kPixels - 1) / kPixels) * (C / kWidth));
      launch(stream, "dropout2d", shape, dropout2d_kernel<kWidth, T>, DropoutMask::of(p, random), state, from, to, N, C, pixels);
    };
    if (C % 4 == 0 && are_aligned<4>(from, to)) {
      run(std::integral_constant<int, 4>());
    } else {
      run(std::integral_constant<int, 1>());
    }
  });
}

}  // namespace gpucnn::kernels
