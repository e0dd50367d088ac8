#include <gpucnn/kernels/pool/max_pool2d.h>

#include <algorithm>
#include <cmath>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/pool/twins.h>

// A thread takes one pixel and `kWidth` of its channels, which lie side by side: four where C and the alignment allow it.
namespace gpucnn::kernels::cuda {
namespace {

/// x: [N, C, H, W], y: [N, C, Ho, Wo].
struct Extents {
  std::int64_t N, C, H, W, Ho, Wo;
};

/// A thread's pixel and the first of its channels.
struct Pixel {
  std::int64_t n, row, column, c;
};

template <int kWidth>
__device__ Pixel pixel_of(std::int64_t item, std::int64_t C, std::int64_t height, std::int64_t width) {
  const std::int64_t groups = C / kWidth, pixel = item / groups, row = pixel / width;
  return {row / height, row % height, pixel % width, item % groups * kWidth};
}

/// The largest values so far and their indices in the window.
template <int kWidth>
struct Best {
  Lanes<float, kWidth> values;
  int argmax[kWidth];
};

/// The value with this index in the window wins if it is larger or NaN.
template <class T, int kWidth>
__device__ void update_best(const Lanes<T, kWidth>& values, int index, Best<kWidth>& best) {
  for (int k = 0; k < kWidth; ++k) {
    const float value = widen(values.at[k]);
    if (value > best.values.at[k] || std::isnan(value)) {
      best.values.at[k] = value;
      best.argmax[k] = index;
    }
  }
}

template <class T, int kWidth>
__device__ void store_best(const Best<kWidth>& best, std::int64_t e, T* y, std::uint8_t* argmax) {
  Lanes<T, kWidth> values;
  for (int k = 0; k < kWidth; ++k) values.at[k] = narrow<T>(best.values.at[k]);
  store(values, y + e);
  if (!argmax) return;
  Lanes<std::uint8_t, kWidth> indices;
  for (int k = 0; k < kWidth; ++k) indices.at[k] = static_cast<std::uint8_t>(best.argmax[k]);
  store(indices, argmax + e);
}

/// For any window.
template <int kWidth, class T>
__global__ void pool_kernel(Extents s, Pool2d pool, const T* x, T* y, std::uint8_t* argmax) {
  const Size2 kernel = pool.kernel_size, stride = pool.stride, padding = pool.padding;
  const std::int64_t items = s.N * s.Ho * s.Wo * s.C / kWidth, threads = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += threads) {
    const auto [n, i, j, c] = pixel_of<kWidth>(item, s.C, s.Ho, s.Wo);
    const std::int64_t top = i * stride.height - padding.height, left = j * stride.width - padding.width;
    const int r_first = static_cast<int>(std::max<std::int64_t>(0, -top));
    const int r_last = static_cast<int>(std::min<std::int64_t>(kernel.height, s.H - top));
    const int s_first = static_cast<int>(std::max<std::int64_t>(0, -left));
    const int s_last = static_cast<int>(std::min<std::int64_t>(kernel.width, s.W - left));
    Best<kWidth> best;
    for (int k = 0; k < kWidth; ++k) {
      best.values.at[k] = -INFINITY;
      // If no element beats it, the first that is not padding wins.
      best.argmax[k] = r_first * kernel.width + s_first;
    }
    for (int r = r_first; r < r_last; ++r) {
      for (int q = s_first; q < s_last; ++q) {
        const std::int64_t pixel = (n * s.H + top + r) * s.W + left + q;
        update_best(load<kWidth>(x + pixel * s.C + c), r * kernel.width + q, best);
      }
    }
    store_best(best, item * kWidth, y, argmax);
  }
}

/// The same for a window and a stride of 2 without padding.
template <int kWidth, class T>
__global__ void pool_2x2_kernel(Extents s, const T* x, T* y, std::uint8_t* argmax) {
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
template <class T, int kWidth>
__device__ Lanes<T, kWidth> select(Lanes<T, kWidth> dy, const Lanes<std::uint8_t, kWidth>& argmax, std::int64_t index) {
  for (int k = 0; k < kWidth; ++k) {
    if (argmax.at[k] != index) dy.at[k] = T{};
  }
  return dy;
}

/// For any window: each element of dx adds up the windows that it lies in, so that no two threads write to one element.
template <int kWidth, class T>
__global__ void pool_backward_kernel(Extents s, Pool2d pool, const T* dy, const std::uint8_t* argmax, T* dx) {
  const Size2 kernel = pool.kernel_size, stride = pool.stride, padding = pool.padding;
  // The windows over padded position p are those from begin_window(p) to p / stride.
  const auto begin_window = [](std::int64_t p, std::int64_t size, std::int64_t by) { return p < size ? 0 : (p - size) / by + 1; };
  const std::int64_t items = s.N * s.H * s.W * s.C / kWidth, threads = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; item < items; item += threads) {
    const auto [n, row, column, c] = pixel_of<kWidth>(item, s.C, s.H, s.W);
    const std::int64_t h = row + padding.height, w = column + padding.width;
    const std::int64_t i_last = std::min(h / stride.height, s.Ho - 1), j_first = begin_window(w, kernel.width, stride.width);
    const std::int64_t j_last = std::min(w / stride.width, s.Wo - 1);
    Lanes<float, kWidth> sum{};
    for (std::int64_t i = begin_window(h, kernel.height, stride.height); i <= i_last; ++i) {
      for (std::int64_t j = j_first; j <= j_last; ++j) {
        const std::int64_t e = ((n * s.Ho + i) * s.Wo + j) * s.C + c;
        const std::int64_t index = (h - i * stride.height) * kernel.width + w - j * stride.width;
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
__global__ void pool_backward_2x2_kernel(Extents s, const T* dy, const std::uint8_t* argmax, T* dx) {
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

bool is_2x2(const Pool2d& pool) { return pool.kernel_size == 2 && pool.stride == 2 && pool.padding == 0; }

Extents extents_of(const Tensor& x, const Tensor& y) { return {x.dim(0), x.dim(1), x.dim(2), x.dim(3), y.dim(2), y.dim(3)}; }

template <int kWidth, class T>
void pool_lanes(const Extents& s, const Pool2d& pool, const T* x, T* y, std::uint8_t* argmax, const Stream& stream) {
  const LaunchShape shape = grid(stream, s.N * s.Ho * s.Wo * s.C / kWidth);
  if (is_2x2(pool)) {
    launch(stream, "max_pool2d", shape, pool_2x2_kernel<kWidth, T>, s, x, y, argmax);
  } else {
    launch(stream, "max_pool2d", shape, pool_kernel<kWidth, T>, s, pool, x, y, argmax);
  }
}

template <int kWidth, class T>
void pool_backward_lanes(const Extents& s, const Pool2d& pool, const T* dy, const std::uint8_t* argmax, T* dx,
                         const Stream& stream) {
  if (is_2x2(pool)) {
    const std::int64_t items = s.N * ((s.H + 1) / 2) * ((s.W + 1) / 2) * s.C / kWidth;
    launch(stream, "max_pool2d_backward", grid(stream, items), pool_backward_2x2_kernel<kWidth, T>, s, dy, argmax, dx);
  } else {
    const LaunchShape shape = grid(stream, s.N * s.H * s.W * s.C / kWidth);
    launch(stream, "max_pool2d_backward", shape, pool_backward_kernel<kWidth, T>, s, pool, dy, argmax, dx);
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::max_pool2d(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, Stream& stream) {
  const Extents s = extents_of(x, y);
  std::uint8_t* indices = argmax.defined() ? argmax.device_data<std::uint8_t>() : nullptr;
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* from = x.device_data<T>();
    T* to = y.device_data<T>();
    if (s.C % 4 == 0 && are_aligned<4>(from, to, indices)) {
      pool_lanes<4>(s, pool, from, to, indices, stream);
    } else {
      pool_lanes<1>(s, pool, from, to, indices, stream);
    }
  });
}

void cuda::max_pool2d_backward(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, Stream& stream) {
  const Extents s = extents_of(dx, dy);
  const std::uint8_t* indices = argmax.device_data<std::uint8_t>();
  for_activation(dy.dtype(), [&]<class T>(T) {
    const T* from = dy.device_data<T>();
    T* to = dx.device_data<T>();
    if (s.C % 4 == 0 && are_aligned<4>(from, indices, to)) {
      pool_backward_lanes<4>(s, pool, from, indices, to, stream);
    } else {
      pool_backward_lanes<1>(s, pool, from, indices, to, stream);
    }
  });
}

}  // namespace gpucnn::kernels
