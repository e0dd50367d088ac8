#include <cmath>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/pool/pixels.h>
#include <gpucnn/kernels/pool/twins.h>

// Averages and adaptive poolings. A thread takes one pixel and `kWidth` of its channels, which lie side by side.
namespace gpucnn::kernels::cuda {
namespace {

/// Rows are added up by themselves, which keeps the sum of a large window exact.
template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads) mean_kernel(Extents s, PoolWindows windows, const T* x, T* y) {
  const std::int64_t items = s.N * s.Ho * s.Wo * s.C / kWidth, threads = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += threads) {
    const auto [n, i, j, c] = pixel_of<kWidth>(item, s.C, s.Ho, s.Wo);
    const std::int64_t bottom = windows.rows.end(i), left = windows.columns.begin(j), right = windows.columns.end(j);
    Lanes<float, kWidth> sum{};
    for (std::int64_t h = windows.rows.begin(i); h < bottom; ++h) {
      Lanes<float, kWidth> line{};
      for (std::int64_t w = left; w < right; ++w) {
        const auto values = load<kWidth>(x + ((n * s.H + h) * s.W + w) * s.C + c);
        for (int k = 0; k < kWidth; ++k) line.at[k] += widen(values.at[k]);
      }
      for (int k = 0; k < kWidth; ++k) sum.at[k] += line.at[k];
    }
    const float divisor = windows.divisor(i, j);
    Lanes<T, kWidth> means;
    for (int k = 0; k < kWidth; ++k) means.at[k] = narrow<T>(sum.at[k] / divisor);
    store(means, y + item * kWidth);
  }
}

/// Each element of dx adds up the windows that it lies in, so that no two threads write to one element.
template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads, 3) mean_backward_kernel(Extents s, PoolWindows windows, const T* dy, T* dx) {
  const std::int64_t items = s.N * s.H * s.W * s.C / kWidth, threads = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += threads) {
    const auto [n, h, w, c] = pixel_of<kWidth>(item, s.C, s.H, s.W);
    const std::int64_t i_last = windows.rows.last_over(h), j_first = windows.columns.first_over(w);
    const std::int64_t j_last = windows.columns.last_over(w);
    Lanes<float, kWidth> sum{};
    for (std::int64_t i = windows.rows.first_over(h); i <= i_last; ++i) {
      for (std::int64_t j = j_first; j <= j_last; ++j) {
        const auto part = load<kWidth>(dy + ((n * s.Ho + i) * s.Wo + j) * s.C + c);
        const float divisor = windows.divisor(i, j);
        for (int k = 0; k < kWidth; ++k) sum.at[k] += widen(part.at[k]) / divisor;
      }
    }
    Lanes<T, kWidth> rounded;
    for (int k = 0; k < kWidth; ++k) rounded.at[k] = narrow<T>(sum.at[k]);
    store(rounded, dx + item * kWidth);
  }
}

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads) max_kernel(Extents s, PoolWindows windows, const T* x, T* y, std::int32_t* argmax) {
  const std::int64_t items = s.N * s.Ho * s.Wo * s.C / kWidth, threads = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += threads) {
    const auto [n, i, j, c] = pixel_of<kWidth>(item, s.C, s.Ho, s.Wo);
    const std::int64_t top = windows.rows.begin(i), bottom = windows.rows.end(i);
    const std::int64_t left = windows.columns.begin(j), right = windows.columns.end(j);
    Lanes<float, kWidth> best;
    Lanes<std::int32_t, kWidth> winners;
    for (int k = 0; k < kWidth; ++k) {
      best.at[k] = -INFINITY;
      // If no element beats it, the first wins.
      winners.at[k] = static_cast<std::int32_t>(top * s.W + left);
    }
    for (std::int64_t h = top; h < bottom; ++h) {
      for (std::int64_t w = left; w < right; ++w) {
        const auto values = load<kWidth>(x + ((n * s.H + h) * s.W + w) * s.C + c);
        for (int k = 0; k < kWidth; ++k) {
          const float value = widen(values.at[k]);
          if (value > best.at[k] || std::isnan(value)) {
            best.at[k] = value;
            winners.at[k] = static_cast<std::int32_t>(h * s.W + w);
          }
        }
      }
    }
    Lanes<T, kWidth> rounded;
    for (int k = 0; k < kWidth; ++k) rounded.at[k] = narrow<T>(best.at[k]);
    store(rounded, y + item * kWidth);
    if (argmax) store(winners, argmax + item * kWidth);
  }
}

/// As `mean_backward_kernel`.
template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads)
    max_backward_kernel(Extents s, PoolWindows windows, const T* dy, const std::int32_t* argmax, T* dx) {
  const std::int64_t items = s.N * s.H * s.W * s.C / kWidth, threads = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += threads) {
    const auto [n, h, w, c] = pixel_of<kWidth>(item, s.C, s.H, s.W);
    const std::int64_t i_last = windows.rows.last_over(h), j_first = windows.columns.first_over(w);
    const std::int64_t j_last = windows.columns.last_over(w);
    Lanes<float, kWidth> sum{};
    for (std::int64_t i = windows.rows.first_over(h); i <= i_last; ++i) {
      for (std::int64_t j = j_first; j <= j_last; ++j) {
        const std::int64_t e = ((n * s.Ho + i) * s.Wo + j) * s.C + c;
        const auto part = load<kWidth>(dy + e);
        const auto winners = load<kWidth>(argmax + e);
        for (int k = 0; k < kWidth; ++k) {
          if (winners.at[k] == h * s.W + w) sum.at[k] += widen(part.at[k]);
        }
      }
    }
    Lanes<T, kWidth> rounded;
    for (int k = 0; k < kWidth; ++k) rounded.at[k] = narrow<T>(sum.at[k]);
    store(rounded, dx + item * kWidth);
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::window_mean(const Tensor& x, const PoolWindows& windows, Tensor& y, Stream& stream) {
  const Extents s = extents_of(x, y);
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* from = x.device_data<T>();
    T* to = y.device_data<T>();
    const auto run = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
      launch(stream, "window_mean", grid(stream, y.numel() / kWidth), mean_kernel<kWidth, T>, s, windows, from, to);
    };
    for_width(s.C, run, from, to);
  });
}

void cuda::window_mean_backward(const Tensor& dy, const PoolWindows& windows, Tensor& dx, Stream& stream) {
  const Extents s = extents_of(dx, dy);
  for_activation(dy.dtype(), [&]<class T>(T) {
    const T* from = dy.device_data<T>();
    T* to = dx.device_data<T>();
    const auto run = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
      const LaunchShape shape = grid(stream, dx.numel() / kWidth);
      launch(stream, "window_mean_backward", shape, mean_backward_kernel<kWidth, T>, s, windows, from, to);
    };
    for_width(s.C, run, from, to);
  });
}

void cuda::window_max(const Tensor& x, const PoolWindows& windows, Tensor& y, Tensor& argmax, Stream& stream) {
  const Extents s = extents_of(x, y);
  std::int32_t* winners = argmax.defined() ? argmax.device_data<std::int32_t>() : nullptr;
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* from = x.device_data<T>();
    T* to = y.device_data<T>();
    const auto run = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
      launch(stream, "window_max", grid(stream, y.numel() / kWidth), max_kernel<kWidth, T>, s, windows, from, to, winners);
    };
    for_width(s.C, run, from, to, winners);
  });
}

void cuda::window_max_backward(const Tensor& dy, const Tensor& argmax, const PoolWindows& windows, Tensor& dx, Stream& stream) {
  const Extents s = extents_of(dx, dy);
  const std::int32_t* winners = argmax.device_data<std::int32_t>();
  for_activation(dy.dtype(), [&]<class T>(T) {
    const T* from = dy.device_data<T>();
    T* to = dx.device_data<T>();
    const auto run = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
      const LaunchShape shape = grid(stream, dx.numel() / kWidth);
      launch(stream, "window_max_backward", shape, max_backward_kernel<kWidth, T>, s, windows, from, winners, to);
    };
    for_width(s.C, run, from, to, winners);
  });
}

}  // namespace gpucnn::kernels
