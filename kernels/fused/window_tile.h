#pragma once

#include <algorithm>
#include <cmath>

#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/fused/conv2d_relu_pool.h>

/// Tiles of 8x8 pooling windows over a 3x3 convolution with padding 1, as the CUDA twins of conv2d_relu_pool compute them. In .cu
/// files only.
namespace gpucnn::kernels::cuda {

inline constexpr int kTileWindows = 8;                // along each side
inline constexpr int kTilePixels = 2 * kTileWindows;  // along each side
inline constexpr int kHaloPixels = kTilePixels + 2;   // with a pixel around, which the convolution's windows reach
inline constexpr int kTileThreads = 256;

/// The sizes of a convolution with its pooling. x: [N, C, H, W], y: [N, K, Ho, Wo], in memory with channels last. 31 bits count
/// pixels and the blocks of a grid.
struct PooledSizes {
  int N, C, H, W, K, Ho, Wo;
};

/// Where an element of y or dy lies: n * image + pixel * at_pixel + k * at_channel. In a flat tensor channels come first.
struct PooledLayout {
  std::int64_t image, at_pixel, at_channel;
};

inline PooledSizes pooled_sizes(const Conv2dReluPool& conv) {
  const Shape &x = conv.x.shape(), &weight = conv.weight.shape();
  const auto extent = [](std::int64_t value) { return static_cast<int>(value); };
  return {extent(x[0]), extent(x[1]), extent(x[2]), extent(x[3]), extent(weight[0]), extent(x[2] / 2), extent(x[3] / 2)};
}

/// Of y or dy, which may be flat.
inline PooledLayout pooled_layout(const PooledSizes& s, const Tensor& y) {
  const std::int64_t pixels = std::int64_t{s.Ho} * s.Wo, image = pixels * s.K;
  return y.rank() == 2 ? PooledLayout{image, 1, pixels} : PooledLayout{image, s.K, 1};
}

/// A tile of an image: its first row and column of windows. No image: `n` is not below the number of images.
struct WindowTile {
  int n, top, left;
};

/// Tiles that cover `rows` x `columns` windows of each image.
struct WindowTiles {
  int down, across;

  __host__ __device__ static WindowTiles of(int rows, int columns) {
    return {(rows + kTileWindows - 1) / kTileWindows, (columns + kTileWindows - 1) / kTileWindows};
  }
  __host__ __device__ int count(int images) const { return images * down * across; }
  __device__ WindowTile operator[](int i) const {
    const int row = i / across;
    return {row / down, row % down * kTileWindows, i % across * kTileWindows};
  }
};

inline constexpr std::uint8_t kNoWinner = 4;

/// The winner of a window's four values, in row order, by max_pool2d's rules, behind a ReLU.
struct Winner {
  float value;
  std::uint8_t index;
};

__device__ inline Winner winner_of(float first, float second, float third, float fourth) {
  Winner best{first, 0};
  const auto update = [&](float value, std::uint8_t index) {
    if (value > best.value || std::isnan(value)) best = {value, index};
  };
  update(second, 1);
  update(third, 2);
  update(fourth, 3);
  return best.value <= 0 ? Winner{0, kNoWinner} : best;
}

/// How a block of kTileThreads computes tiles. A thread has a window, the products at its four pixels, and kPerThread outputs: each
/// 4x4 patch that it reads serves 4 * kPerThread sums. Inputs go through shared memory kDepth channels at a time, a plane each.
template <int Outputs>
struct WindowBlock {
  static constexpr int kOutputs = Outputs, kPerThread = 8, kDepth = 8;
  static constexpr int kWindows = kTileWindows * kTileWindows;
  static constexpr int kTiles = kTileThreads * kPerThread / (kWindows * kOutputs);  // of a block
  // So that in a half warp, two rows of eight windows, pairs of floats lie in different banks.
  static constexpr int kPitch = 24;
  // So that in fours of neighbouring channels neighbouring pixels do.
  static constexpr int kPlane = kHaloPixels * kPitch + 4;
  static constexpr int kWeightPitch = 9 * kOutputs + 4;  // from one input channel to the next
  static constexpr int kPlanes = kTiles * kDepth * kPlane, kFloats = kPlanes + kDepth * kWeightPitch;
  static_assert(kTiles * kWindows * kOutputs == kTileThreads * kPerThread);

  __device__ static int window() { return static_cast<int>(threadIdx.x) % kWindows; }
  __device__ static int row() { return window() / kTileWindows; }
  __device__ static int column() { return window() % kTileWindows; }
  /// The thread's tile, of the block's.
  __device__ static int tile() { return static_cast<int>(threadIdx.x) / kWindows / (kOutputs / kPerThread); }
  /// The first of its outputs, of the block's.
  __device__ static int output() { return static_cast<int>(threadIdx.x) / kWindows % (kOutputs / kPerThread) * kPerThread; }

  /// Brings the first kChannels of kDepth channels of a tile and its halo to `planes`. fetch(h, w, c) gives `kWidth` channels from
  /// c on of a pixel of the image, of which `height` x `width` are not zero.
  template <int kWidth, int kChannels = kDepth, class Fetch>
  __device__ static void load_planes(const WindowTile& tile, int height, int width, const Fetch& fetch, float* planes) {
    constexpr int kGroups = kChannels / kWidth;
    GPUCNN_NO_UNROLL
    for (int item = static_cast<int>(threadIdx.x); item < kHaloPixels * kHaloPixels * kGroups; item += kTileThreads) {
      const int pixel = item / kGroups, c = item % kGroups * kWidth, r = pixel / kHaloPixels, q = pixel % kHaloPixels;
      const int h = 2 * tile.top - 1 + r, w = 2 * tile.left - 1 + q;
      Lanes<float, kWidth> values{};
      if (h >= 0 && h < height && w >= 0 && w < width) values = fetch(h, w, c);
      for (int e = 0; e < kWidth; ++e) planes[(c + e) * kPlane + r * kPitch + q] = values.at[e];
    }
  }

  /// Adds the products of `channels` planes and their weights. sums[p][o]: of pixel p of the window, in row order, and output o.
  __device__ static void add_products(const float* planes, const float* weights, int channels, float (&sums)[4][kPerThread]) {
    planes += tile() * kDepth * kPlane + 2 * row() * kPitch + 2 * column();
    weights += output();
    GPUCNN_NO_UNROLL
    for (int c = 0; c < channels; ++c, planes += kPlane, weights += kWeightPitch) {
      float patch[4][4];
      for (int r = 0; r < 4; ++r) {
        const auto left = load<2>(planes + r * kPitch), right = load<2>(planes + r * kPitch + 2);
        patch[r][0] = left.at[0], patch[r][1] = left.at[1], patch[r][2] = right.at[0], patch[r][3] = right.at[1];
      }
      GPUCNN_UNROLL
      for (int tap = 0; tap < 9; ++tap) {
        const auto low = load<4>(weights + tap * kOutputs), high = load<4>(weights + tap * kOutputs + 4);
        for (int p = 0; p < 4; ++p) {
          const float pixel = patch[p / 2 + tap / 3][p % 2 + tap % 3];
          for (int o = 0; o < 4; ++o) sums[p][o] = fmaf(pixel, low.at[o], sums[p][o]);
          for (int o = 0; o < 4; ++o) sums[p][4 + o] = fmaf(pixel, high.at[o], sums[p][4 + o]);
        }
      }
    }
  }
};

/// to[0] to to[7] but only the first `count`, four at once if `wide`.
template <class T>
__device__ void store_eight(const T (&values)[8], int count, bool wide, T* to) {
  for (int q = 0; q < 8; q += 4) {
    if (wide && q + 4 <= count) {
      store(Lanes<T, 4>{{values[q], values[q + 1], values[q + 2], values[q + 3]}}, to + q);
    } else {
      for (int o = q; o < q + 4 && o < count; ++o) to[o] = values[o];
    }
  }
}

}  // namespace gpucnn::kernels::cuda
