#include <gpucnn/kernels/pool/max_pool2d_3x3.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <type_traits>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/divisor.h>
#include <gpucnn/kernels/cuda/rounded_store.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/pool/best.h>

// A thread takes four channels of a window, eight of bf16, or four of the 2x2 elements of dx that four windows reach. It reads all
// before it compares, so that many loads are in flight. Rows are taken two by two: the line that both windows of a pair need is
// then read by one block.
namespace gpucnn::kernels::cuda {
namespace {

using Four = Lanes<float, 4>;

/// x: [N, C, H, W], y: [N, C, Ho, Wo], padded before the first row and column.
struct Sizes {
  int H, W, Ho, Wo, C, padding_h, padding_w;
};

/// A thread's place among the windows, or the 2x2 elements, of all images, and its group of channels.
struct Place {
  int n, row, column, group;
};

/// The places in the order of the threads: [n][pair of rows][column][row of the pair][group of `width` channels].
struct Places {
  Divisor groups, columns, pairs;
  std::uint32_t count;

  Places(std::int64_t N, std::int64_t rows, std::int64_t line, std::int64_t C, int width)
      : groups(static_cast<std::uint32_t>(C / width)),
        columns(static_cast<std::uint32_t>(line)),
        pairs(static_cast<std::uint32_t>((rows + 1) / 2)),
        count(static_cast<std::uint32_t>(N * ((rows + 1) / 2) * 2 * line * (C / width))) {}

  __device__ Place at(std::uint32_t item) const {
    const std::uint32_t group = groups.divide(item), odd = item % 2;
    item /= 2;
    const std::uint32_t column = columns.divide(item), pair = pairs.divide(item);
    return {static_cast<int>(item), static_cast<int>(2 * pair + odd), static_cast<int>(column), static_cast<int>(group)};
  }
};

/// Along one side, the elements that a window's three are read from: where one lies in the padding, its neighbour in the image. To
/// see an element twice under its own index changes no winner.
struct Taps {
  int first, last;  // indices in the window of those in the image

  __device__ Taps(int begin, int size) : first(std::max(0, -begin)), last(std::min(2, size - 1 - begin)) {}
  __device__ int at(int tap) const { return std::min(std::max(tap, first), last); }
};

/// `kWidth` channels as they lie in memory: bf16 two to a word, which is widened by a shift or a mask.
template <class T, int kWidth>
struct Packed {
  std::uint32_t words[kWidth / 2];

  __device__ void read(const bf16* from) {
    if constexpr (kWidth == 8) {
      const uint4 four = *reinterpret_cast<const uint4*>(from);
      words[0] = four.x, words[1] = four.y, words[2] = four.z, words[3] = four.w;
    } else {
      const uint2 two = *reinterpret_cast<const uint2*>(from);
      words[0] = two.x, words[1] = two.y;
    }
  }
  __device__ Lanes<float, kWidth> wide() const {
    Lanes<float, kWidth> lanes;
    for (int w = 0; w < kWidth / 2; ++w) {
      lanes.at[2 * w] = std::bit_cast<float>(words[w] << 16);
      lanes.at[2 * w + 1] = std::bit_cast<float>(words[w] & 0xFFFF0000);
    }
    return lanes;
  }
};
template <>
struct Packed<float, 4> {
  Four four;

  __device__ void read(const float* from) { four = load<4>(from); }
  __device__ Four wide() const { return four; }
};

template <int kWidth, class T>
__global__ void __launch_bounds__(kThreads, kWidth == 4 ? 4 : 3)
    pool_3x3_kernel(Sizes s, Places places, const T* x, T* y, std::uint8_t* argmax) {
  for (std::uint32_t item = blockIdx.x * kThreads + threadIdx.x; item < places.count; item += gridDim.x * kThreads) {
    const auto [n, i, j, group] = places.at(item);
    if (i >= s.Ho) continue;
    const int c = group * kWidth;
    const int top = 2 * i - s.padding_h, left = 2 * j - s.padding_w;
    const Taps rows(top, s.H), columns(left, s.W);
    int row[3], column[3], index[9];
    for (int t = 0; t < 3; ++t) {
      row[t] = (n * s.H + top + rows.at(t)) * s.W * s.C;
      column[t] = (left + columns.at(t)) * s.C + c;
    }
    for (int t = 0; t < 9; ++t) index[t] = rows.at(t / 3) * 3 + columns.at(t % 3);
    Packed<T, kWidth> taps[9];
    GPUCNN_UNROLL
    for (int t = 0; t < 9; ++t) taps[t].read(x + (row[t / 3] + column[t % 3]));
    Best<kWidth> best = first_best(taps[0].wide(), index[0]);
    GPUCNN_UNROLL
    for (int t = 1; t < 9; ++t) update_best(taps[t].wide(), index[t], best);
    store_best(best, ((n * s.Ho + i) * s.Wo + j) * s.C + c, y, argmax);
  }
}

/// sum += dy where the winner, one byte of `winners` for each channel, is `index`.
template <class T>
__device__ void add_won(const Lanes<T, 4>& dy, std::uint32_t winners, std::uint32_t index, Four& sum) {
  for (int k = 0; k < 4; ++k) {
    if ((winners >> 8 * k & 0xFF) == index) sum.at[k] += widen(dy.at[k]);
  }
}

/// Of the padded image, elements (2 a, 2 b) and their neighbours below and to the right, which windows (a - 1, b - 1) to (a, b)
/// reach. Each adds in the windows' order.
template <class T>
__global__ void __launch_bounds__(kThreads)
    pool_backward_3x3_kernel(Sizes s, Places places, const T* dy, const std::uint8_t* argmax, T* dx) {
  for (std::uint32_t item = blockIdx.x * kThreads + threadIdx.x; item < places.count; item += gridDim.x * kThreads) {
    const auto [n, a, b, group] = places.at(item);
    const int c = 4 * group, h = 2 * a - s.padding_h, w = 2 * b - s.padding_w;
    if (h >= s.H) continue;
    Lanes<T, 4> gradients[4];
    std::uint32_t winners[4];
    GPUCNN_UNROLL
    for (int t = 0; t < 4; ++t) {
      const int i = a - 1 + t / 2, j = b - 1 + t % 2;
      const int row = n * s.Ho + std::min(std::max(i, 0), s.Ho - 1), column = std::min(std::max(j, 0), s.Wo - 1);
      const int e = (row * s.Wo + column) * s.C + c;
      gradients[t] = load<4>(dy + e);
      winners[t] = *reinterpret_cast<const std::uint32_t*>(argmax + e);
    }
    GPUCNN_UNROLL
    for (int t = 0; t < 4; ++t) {
      const int i = a - 1 + t / 2, j = b - 1 + t % 2;
      if (i < 0 || i >= s.Ho || j < 0 || j >= s.Wo) winners[t] = 0xFFFFFFFF;  // no window
    }
    Four sums[4] = {};  // of (2 a, 2 b), its right neighbour, and the two below
    GPUCNN_UNROLL
    for (int t = 0; t < 4; ++t) {
      const int r = t < 2 ? 2 : 0, q = t % 2 == 0 ? 2 : 0;  // of (2 a, 2 b) in the window
      add_won(gradients[t], winners[t], r * 3 + q, sums[0]);
      if (q == 0) add_won(gradients[t], winners[t], r * 3 + 1, sums[1]);
      if (r == 0) add_won(gradients[t], winners[t], 3 + q, sums[2]);
      if (r == 0 && q == 0) add_won(gradients[t], winners[t], 4, sums[3]);
    }
    GPUCNN_UNROLL
    for (int t = 0; t < 4; ++t) {
      const int row = h + t / 2, column = w + t % 2;
      if (row < 0 || row >= s.H || column < 0 || column >= s.W) continue;
      store_rounded(sums[t], dx + (((n * s.H + row) * s.W + column) * s.C + c));
    }
  }
}

/// Whether the kernels serve this pooling of x. The places, with those that fill a pair of rows, are to be counted in 31 bits.
bool serves(const Pool2d& pool, const Tensor& x) {
  constexpr std::int64_t kMaxElements = std::numeric_limits<std::int32_t>::max();
  return pool.kernel_size == 3 && pool.stride == 2 && pool.dilation == 1 && x.dim(1) % 4 == 0 && x.numel() <= kMaxElements;
}

Sizes sizes_of(const Tensor& x, const Tensor& y, const Pool2d& pool) {
  const auto extent = [](std::int64_t value) { return static_cast<int>(value); };
  return {extent(x.dim(2)), extent(x.dim(3)),    extent(y.dim(2)),  extent(y.dim(3)),
          extent(x.dim(1)), pool.padding.height, pool.padding.width};
}

}  // namespace

bool max_pool2d_3x3(const Tensor& x, const Pool2d& pool, Tensor& y, Tensor& argmax, Stream& stream) {
  if (!serves(pool, x)) return false;
  std::uint8_t* winners = argmax.defined() ? argmax.device_data<std::uint8_t>() : nullptr;
  bool aligned = false;
  for_activation(x.dtype(), [&]<class T>(T) {
    const T* from = x.device_data<T>();
    T* to = y.device_data<T>();
    aligned = are_aligned<4>(from, to, winners);
    if (!aligned) return;
    const auto run = [&]<int kWidth>(std::integral_constant<int, kWidth>) {
      const Places places(x.dim(0), y.dim(2), y.dim(3), x.dim(1), kWidth);
      launch(stream, "max_pool2d", grid(stream, places.count), pool_3x3_kernel<kWidth, T>, sizes_of(x, y, pool), places, from, to,
             winners);
    };
    if constexpr (std::is_same_v<T, bf16>) {
      if (x.dim(1) % 8 == 0 && are_aligned<8>(from, to, winners)) return run(std::integral_constant<int, 8>());
    }
    run(std::integral_constant<int, 4>());
  });
  return aligned;
}

bool max_pool2d_3x3_backward(const Tensor& dy, const Tensor& argmax, const Pool2d& pool, Tensor& dx, Stream& stream) {
  if (!serves(pool, dx)) return false;
  const auto* winners = argmax.device_data<std::uint8_t>();
  bool aligned = false;
  for_activation(dy.dtype(), [&]<class T>(T) {
    const T* from = dy.device_data<T>();
    T* to = dx.device_data<T>();
    aligned = are_aligned<4>(from, winners, to);
    const Sizes s = sizes_of(dx, dy, pool);
    if (!aligned) return;
    const Places places(dx.dim(0), (s.H - 1 + s.padding_h) / 2 + 1, (s.W - 1 + s.padding_w) / 2 + 1, dx.dim(1), 4);
    launch(stream, "max_pool2d_backward", grid(stream, places.count), pool_backward_3x3_kernel<T>, s, places, from, winners, to);
  });
  return aligned;
}

}  // namespace gpucnn::kernels::cuda
