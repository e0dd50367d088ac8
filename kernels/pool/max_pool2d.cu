#include <gpucnn/kernels/pool/max_pool2d.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/pool/best.h>
#include <gpucnn/kernels/pool/max_pool2d_3x3.h>
#include <gpucnn/kernels/pool/pixels.h>
#include <gpucnn/kernels/pool/twins.h>

// A thread takes one pixel and `kWidth` of its channels, which lie side by side: four where C and the alignment allow it.
namespace gpucnn::kernels::cuda {
namespace {

/// The elements of a window that lie in the image, along one side: [first, last).
struct Taps {
  int first, last;
};

/// A window of `taps` elements, `step` apart, whose first lies at `begin` < size.
__device__ inline Taps taps_inside(std::int64_t begin, std::int64_t size, int taps, int step) {
  const std::int64_t outside = std::max<std::int64_t>(0, -begin), left = size - begin;
  if (step == 1) return {static_cast<int>(outside), static_cast<int>(std::min<std::int64_t>(taps, left))};
  return {static_cast<int>((outside + step - 1) / step), static_cast<int>(std::min<std::int64_t>(taps, (left + step - 1) / step))};
}

/// For any window. Index: argmax's type.
template <int kWidth, class T, class Index>
__global__ void __launch_bounds__(kThreads) pool_kernel(Extents s, Pool2d pool, const T* x, T* y, Index* argmax) {
  const Size2 kernel = pool.kernel_size, stride = pool.stride, padding = pool.padding, dilation = pool.dilation;
  const std::int64_t items = s.N * s.Ho * s.Wo * s.C / kWidth, threads = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += threads) {
    const auto [n, i, j, c] = pixel_of<kWidth>(item, s.C, s.Ho, s.Wo);
    const std::int64_t top = i * stride.height - padding.height, left = j * stride.width - padding.width;
    const auto [r_first, r_last] = taps_inside(top, s.H, kernel.height, dilation.height);
    const auto [s_first, s_last] = taps_inside(left, s.W, kernel.width, dilation.width);
    Best<kWidth> best;
    for (int k = 0; k < kWidth; ++k) {
      best.values.at[k] = -INFINITY;
      // If no element beats it, the first that is not padding wins.
      best.argmax[k] = r_first * kernel.width + s_first;
    }
    for (int r = r_first; r < r_last; ++r) {
      for (int q = s_first; q < s_last; ++q) {
        const std::int64_t h = top + std::int64_t{r} * dilation.height, w = left + std::int64_t{q} * dilation.width;
        const std::int64_t pixel = (n * s.H + h) * s.W + w;
        update_best(load<kWidth>(x + pixel * s.C + c), r * kernel.width + q, best);
      }
    }
    store_best(best, item * kWidth, y, argmax);
  }
}

/// The same for a window and a stride of 2 without padding.
template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads) pool_2x2_kernel(Extents s, const T* x, T* y, std::uint8_t* argmax) {
  const std::int64_t items = s.N * s.Ho * s.Wo * s.C / kWidth, threads = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += threads) {
    const auto [n, i, j, c] = pixel_of<kWidth>(item, s.C, s.Ho, s.Wo);
    const T* top = x + ((n * s.H + 2 * i) * s.W + 2 * j) * s.C + c;
    const T* bottom = top + s.W * s.C;
    const auto first = load<kWidth>(top);
    Best<kWidth> best{};
    for (int k = 0; k < kWidth; ++k) best.values.at[k] = widen(first.at[k]);
    const auto second = load<kWidth>(top + s.C), third = load<kWidth>(bottom), fourth = load<kWidth>(bottom + s.C);
    update_best(second, 1, best);
    update_best(third, 2, best);
    update_best(fourth, 3, best);
    store_best(best, item * kWidth, y, argmax);
  }
}

/// `dy` where the window's argmax is `index`, 0 elsewhere.
template <class T, class Index, int kWidth>
__device__ Lanes<T, kWidth> select(Lanes<T, kWidth> dy, const Lanes<Index, kWidth>& argmax, std::int64_t index) {
  for (int k = 0; k < kWidth; ++k) {
    if (argmax.at[k] != index) dy.at[k] = T{};
  }
  return dy;
}

/// For any window: each element of dx adds up the windows that it lies in, so that no two threads write to one element.
template <int kWidth, class T, class Index>
__global__ void __launch_bounds__(kThreads, sizeof(Index) == 1 ? 3 : 2)
    pool_backward_kernel(Extents s, Pool2d pool, const T* dy, const Index* argmax, T* dx) {
  const Size2 kernel = pool.kernel_size, stride = pool.stride, padding = pool.padding, dilation = pool.dilation;
  const std::int64_t height = std::int64_t{kernel.height - 1} * dilation.height + 1;
  const std::int64_t width = std::int64_t{kernel.width - 1} * dilation.width + 1;
  // The windows over padded position p are those from begin_window(p) to p / stride.
  const auto begin_window = [](std::int64_t p, std::int64_t size, std::int64_t by) { return p < size ? 0 : (p - size) / by + 1; };
  const std::int64_t items = s.N * s.H * s.W * s.C / kWidth, threads = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += threads) {
    const auto [n, row, column, c] = pixel_of<kWidth>(item, s.C, s.H, s.W);
    const std::int64_t h = row + padding.height, w = column + padding.width;
    const std::int64_t i_last = std::min(h / stride.height, s.Ho - 1), j_first = begin_window(w, width, stride.width);
    const std::int64_t j_last = std::min(w / stride.width, s.Wo - 1);
    Lanes<float, kWidth> sum{};
    for (std::int64_t i = begin_window(h, height, stride.height); i <= i_last; ++i) {
      std::int64_t r = h - i * stride.height;
      if (dilation.height != 1) {
        if (r % dilation.height != 0) continue;
        r /= dilation.height;
      }
      for (std::int64_t j = j_first; j <= j_last; ++j) {
        std::int64_t q = w - j * stride.width;
        if (dilation.width != 1) {
          if (q % dilation.width != 0) continue;
          q /= dilation.width;
        }
        const std::int64_t e = ((n * s.Ho + i) * s.Wo + j) * s.C + c, index = r * kernel.width + q;
        const auto part = select(load<kWidth>(dy + e), load<kWidth>(argmax + e), index);
        for (int k = 0; k < kWidth; ++k) sum.at[k] += widen(part.at[k]);
      }
    }
    Lanes<T, kWidth> rounded;
    for (int k = 0; k < kWidth; ++k) rounded.at[k] = narrow<T>(sum.at[k]);
    store(rounded, dx + item * kWidth);
  }
}

/// The same for a window and a stride of 2 without padding. An item is a window and its four elements of dx. No window covers the
/// last row and column of an odd height and width: their items have fewer elements, and no window.
template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads) pool_backward_2x2_kernel(Extents s, const T* dy, const std::uint8_t* argmax, T* dx) {
  const std::int64_t height = (s.H + 1) / 2, width = (s.W + 1) / 2;
  const std::int64_t items = s.N * height * width * s.C / kWidth, threads = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += threads) {
    const auto [n, i, j, c] = pixel_of<kWidth>(item, s.C, height, width);
    Lanes<T, kWidth> value{};
    Lanes<std::uint8_t, kWidth> indices{};
    if (i < s.Ho && j < s.Wo) {
      const std::int64_t e = ((n * s.Ho + i) * s.Wo + j) * s.C + c;
      value = load<kWidth>(dy + e);
      indices = load<kWidth>(argmax + e);
    }
    T* top = dx + ((n * s.H + 2 * i) * s.W + 2 * j) * s.C + c;
    T* bottom = top + s.W * s.C;
    const bool right = 2 * j + 1 < s.W, below = 2 * i + 1 < s.H;
    store(select(value, indices, 0), top);
    if (right) store(select(value, indices, 1), top + s.C);
    if (below) store(select(value, indices, 2), bottom);
    if (below && right) store(select(value, indices, 3), bottom + s.C);
  }
}

template <int kWidth, class T, class Index>
void pool_lanes(const Extents& s, const Pool2d& pool, const T* x, T* y, Index* argmax, const Stream& stream) {
  const LaunchShape shape = grid(stream, s.N * s.Ho * s.Wo * s.C / kWidth);
  if constexpr (std::is_same_v<Index, std::uint8_t>) {
    if (is_halving(pool)) return launch(stream, "max_pool2d", shape, pool_2x2_kernel<kWidth, T>, s, x, y, argmax);
  }
  launch(stream, "max_pool2d", shape, pool_kernel<kWidth, T, Index>, s, pool, x, y, argmax);
}

template <int kWidth, class T, class Index>
void pool_backward_lanes(const Extents& s, const Pool2d& pool, const T* dy, const Index* argmax, T* dx, const Stream& stream) {
  if constexpr (std::is_same_v<Index, std::uint8_t>) {
    if (is_halving(pool)) {
      const std::int64_t items = s.N * ((s.H + 1) / 2) * ((s.W + 1) / 2) * s.C / kWidth;
      return launch(stream, "max_pool2d_backward", grid(stream, items), pool_backward_2x2_kernel<kWidth, T>, s, dy, argmax, dx);
    }
  }
  const LaunchShape shape = grid(stream, s.N * s.H * s.W * s.C / kWidth);
  launch(stream, "max_pool2d_backward", shape, pool_backward_kernel<kWidth, T, Index>, s, pool, dy, argmax, dx);
}

/// Calls `body` with an element of argmax.
template <class Body>
void for_index(const Pool2d& pool, const Body& body) {
  if (max_pool2d_argmax_dtype(pool) == DType::u8) {
    body(std::uint8_t{});
  } else {
    body(std::int32_t{});
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::max_pool2d(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, Stream& stream) {
  if (max_pool2d_3x3(x, pool, y, argmax, stream)) return;
  const Extents s = extents_of(x, y);
  for_index(pool, [&]<class Index>(Index) {
    Index* indices = argmax.defined() ? argmax.device_data<Index>() : nullptr;
    for_activation(x.dtype(), [&]<class T>(T) {
      const T* from = x.device_data<T>();
      T* to = y.device_data<T>();
      const auto run = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
        pool_lanes<kWidth>(s, pool, from, to, indices, stream);
      };
      for_width(s.C, run, from, to, indices);
    });
  });
}

void cuda::max_pool2d_backward(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, Stream& stream) {
  if (max_pool2d_3x3_backward(dy, argmax, pool, dx, stream)) return;
  const Extents s = extents_of(dx, dy);
  for_index(pool, [&]<class Index>(Index) {
    const Index* indices = argmax.device_data<Index>();
    for_activation(dy.dtype(), [&]<class T>(T) {
      const T* from = dy.device_data<T>();
      T* to = dx.device_data<T>();
      const auto run = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
        pool_backward_lanes<kWidth>(s, pool, from, indices, to, stream);
      };
      for_width(s.C, run, from, indices, to);
    });
  });
}

}  // namespace gpucnn::kernels
