#pragma once

#include <gpucnn/core/gpu/warp/ldmatrix.h>
#include <gpucnn/core/gpu/warp/mma.h>
#include <gpucnn/kernels/fused/window_tile.h>

/// Tiles of window_tile.h on tensor cores, from compute capability 8.0 on. In .cu files only.
namespace gpucnn::kernels::cuda {

/// 16 bytes: of a pixel or of a weight's tap, 8 channels in bf16 or 4 in tf32.
using Chunk = Lanes<std::uint32_t, 4>;

/// How elements of T lie in chunks, and their products.
template <class T>
struct Operand;
template <>
struct Operand<bf16> {
  static constexpr int kInChunk = 8;
  __device__ static std::uint32_t word(const bf16* two) { return two[0].bits | std::uint32_t{two[1].bits} << 16; }
  __device__ static void multiply(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    warp::mma_bf16(d, a, b);
  }
};
template <>
struct Operand<float> {
  static constexpr int kInChunk = 4;
  __device__ static std::uint32_t word(const float* one) { return warp::to_tf32(*one); }
  __device__ static void multiply(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    warp::mma_tf32(d, a, b);
  }
};

template <class T>
__device__ Chunk chunk_of(const Lanes<T, Operand<T>::kInChunk>& elements) {
  Chunk chunk;
  for (int w = 0; w < 4; ++w) chunk.at[w] = Operand<T>::word(elements.at + w * (Operand<T>::kInChunk / 4));
  return chunk;
}

/// The first `count` elements of `from`, and zeros behind; `wide`: a whole chunk may be loaded at once.
template <class T>
__device__ Lanes<T, Operand<T>::kInChunk> load_some(const T* from, int count, bool wide) {
  constexpr int kInChunk = Operand<T>::kInChunk;
  if (wide && count >= kInChunk) return load<kInChunk>(from);
  Lanes<T, kInChunk> elements{};
  for (int e = 0; e < kInChunk && e < count; ++e) elements.at[e] = from[e];
  return elements;
}

/// The same of a weight, rounded to T; `wide`: four may be loaded at once.
template <class T>
__device__ Lanes<T, Operand<T>::kInChunk> load_weights(const float* from, int count, bool wide) {
  constexpr int kInChunk = Operand<T>::kInChunk;
  Lanes<T, kInChunk> elements{};
  if (wide && count >= kInChunk) {
    for (int e = 0; e < kInChunk; e += 4) {
      const auto four = load<4>(from + e);
      for (int i = 0; i < 4; ++i) elements.at[e + i] = narrow<T>(four.at[i]);
    }
    return elements;
  }
  for (int e = 0; e < kInChunk && e < count; ++e) elements.at[e] = narrow<T>(from[e]);
  return elements;
}

/// How a block of kTileThreads computes tiles as an implicit GEMM. The 16 rows of an mma are windows, and each of a window's four
/// pixels has sums of its own. A warp has the 16 windows of two rows of a tile, and 16 outputs. Inputs go through shared memory,
/// two chunks of channels at a time.
template <int Outputs, class T>
struct TensorBlock {
  static constexpr int kOutputs = Outputs, kTiles = 32 / kOutputs, kInChunk = Operand<T>::kInChunk, kDepth = 2 * kInChunk;
  static constexpr int kPixels = kHaloPixels * kHaloPixels * 2, kWeights = 9 * kOutputs * 2;  // of a tile, and of all outputs
  static constexpr int kChunks = kTiles * kPixels + kWeights;
  static_assert(kOutputs == 16 || kOutputs == 32);

  /// [p][column][...]: of pixel p of the window, in row order, and eight outputs, as mma.h says.
  using Sums = float[4][2][4];

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  /// The warp's tile and the first of its outputs, of the block's; its pair of rows.
  __device__ static int tile() { return kTiles == 2 ? warp() / 4 : 0; }
  __device__ static int output() { return kTiles == 2 ? 0 : warp() % 2 * 16; }
  __device__ static int pair() { return kTiles == 2 ? warp() % 4 : warp() / 2; }

  // Which of its two places a chunk takes changes with every four pixels or outputs. So the eight rows that ldmatrix reads at once
  // lie in different banks. A tile's even columns come first, then the odd ones: neighbouring windows lie side by side.
  __device__ static int pixel_at(int t, int row, int column, int chunk) {
    const int slot = column % 2 * (kHaloPixels / 2) + column / 2;
    return t * kPixels + (row * kHaloPixels + slot) * 2 + (chunk ^ (slot / 4 % 2));
  }
  __device__ static int weight_at(int tap, int output, int chunk) {
    return kTiles * kPixels + (tap * kOutputs + output) * 2 + (chunk ^ (output / 4 % 2));
  }

  /// Brings two chunks of each pixel of a tile and its halo to shared memory, as the block's tile `t`. fetch(h, w, chunk) gives one
  /// of the first kFetched, of an image of which `height` x `width` pixels are not zero; others are zeros.
  template <int kFetched = 2, class Fetch>
  __device__ static void load_pixels(const WindowTile& tile, int t, int height, int width, const Fetch& fetch, Chunk* memory) {
    GPUCNN_NO_UNROLL
    for (int item = static_cast<int>(threadIdx.x); item < kPixels / 2 * kFetched; item += kTileThreads) {
      const int chunk = item % kFetched, r = item / kFetched / kHaloPixels, q = item / kFetched % kHaloPixels;
      const int h = 2 * tile.top - 1 + r, w = 2 * tile.left - 1 + q;
      Chunk value{};
      if (h >= 0 && h < height && w >= 0 && w < width) value = fetch(h, w, chunk);
      memory[pixel_at(t, r, q, chunk)] = value;
      if (kFetched == 1) memory[pixel_at(t, r, q, 1)] = Chunk{};
    }
  }

  /// Adds the products of the chunks in shared memory.
  __device__ static void add_products(const Chunk* memory, Sums& sums) {
    std::uint32_t b[9][4];  // of the warp's outputs: the first eight with both chunks, then the others
    for (int tap = 0; tap < 9; ++tap) {
      warp::ldmatrix(b[tap], &memory[weight_at(tap, output() + lane() / 16 * 8 + lane() % 8, lane() / 8 % 2)]);
    }
    GPUCNN_UNROLL
    for (int at = 0; at < 16; ++at) {  // the pixels of a window's 4x4 patch
      const int r = at / 4, q = at % 4;
      std::uint32_t a[4];
      warp::ldmatrix(a, &memory[pixel_at(tile(), 2 * (2 * pair() + lane() / 8 % 2) + r, 2 * (lane() % 8) + q, lane() / 16)]);
      for (int p = 0; p < 4; ++p) {
        const int down = r - p / 2, across = q - p % 2;
        if (down < 0 || down > 2 || across < 0 || across > 2) continue;
        const std::uint32_t(&taps)[4] = b[3 * down + across];
        Operand<T>::multiply(sums[p][0], a, {taps[0], taps[1]});
        Operand<T>::multiply(sums[p][1], a, {taps[2], taps[3]});
      }
    }
  }

  /// Calls `body(row, column, output, values)` for each window of the tile and each pair of outputs that the thread has:
  /// values[p][e] is of pixel p and output `output` + e.
  template <class Body>
  __device__ static void for_pairs(const Sums& sums, const Body& body) {
    GPUCNN_UNROLL
    for (int half = 0; half < 2; ++half) {
      GPUCNN_UNROLL
      for (int column = 0; column < 2; ++column) {
        float values[4][2];
        for (int p = 0; p < 4; ++p) {
          for (int e = 0; e < 2; ++e) values[p][e] = sums[p][column][2 * half + e];
        }
        body(2 * pair() + half, lane() / 4, output() + 8 * column + 2 * (lane() % 4), values);
      }
    }
  }
};

/// to[0] and to[stride], or the first alone; both at once if `wide`.
template <class T>
__device__ void store_pair(const Lanes<T, 2>& values, int count, bool wide, std::int64_t stride, T* to) {
  if (wide && count > 1) return store(values, to);
  for (int e = 0; e < 2 && e < count; ++e) to[e * stride] = values.at[e];
}

}  // namespace gpucnn::kernels::cuda
