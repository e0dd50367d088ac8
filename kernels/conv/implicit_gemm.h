#pragma once

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/kernels/conv/conv2d_options.h>

/// How convolutions are computed as implicit GEMMs: the matrix of patches is never stored, its elements are looked up in the image.
/// Indices are 32-bit, for sizes that `conv2d_counts_in_int` lets pass. In .cu files only.
namespace gpucnn::kernels::cuda {

/// A convolution's sizes. The matrix of patches has a row for each pixel of the output, of all images, and a column for each tap. A
/// tap is an element (r, s, c) of the window over the input, as the weight lies in memory.
struct Window {
  int pixels;     // of the output, in all images
  int C, H, W;    // input
  int K, Ho, Wo;  // output
  int kH, kW, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;

  __host__ __device__ int taps() const { return kH * kW * C; }
};

/// `in` and `out`: the tensors' shapes.
inline Window window_of(const Shape& in, const Shape& out, const Conv2dOptions& options) {
  const auto extent = [](std::int64_t value) { return static_cast<int>(value); };
  Window w{};
  w.C = extent(in[1]), w.H = extent(in[2]), w.W = extent(in[3]);
  w.K = extent(out[1]), w.Ho = extent(out[2]), w.Wo = extent(out[3]);
  w.pixels = extent(out[0] * out[2] * out[3]);
  w.kH = options.kernel_size.height, w.kW = options.kernel_size.width;
  w.stride_h = options.stride.height, w.stride_w = options.stride.width;
  w.padding_h = options.padding.top, w.padding_w = options.padding.left;
  w.dilation_h = options.dilation.height, w.dilation_w = options.dilation.width;
  return w;
}

/// Where the window of an output pixel begins, or how far a tap is from there: as row and column of the image, which may lie
/// outside of it, and in memory. There only the sum of the two is an address.
struct Offset {
  unsigned memory;
  int h, w;
};

constexpr int kOutOfBounds = -(1 << 30);  // sentinel: with any tap's row added it is still outside of the image

__device__ inline Offset offset_of(int h, int w, int line, int c, const Window& window) {
  const unsigned pixel = static_cast<unsigned>(line) * static_cast<unsigned>(window.W) + static_cast<unsigned>(w);
  return {pixel * static_cast<unsigned>(window.C) + static_cast<unsigned>(c), h, w};
}

/// Of an output pixel before `end`; others read nothing.
__device__ inline Offset corner_of(int pixel, int end, const Window& window) {
  if (pixel >= end) return {0, kOutOfBounds, 0};
  const int row = pixel / window.Wo, n = row / window.Ho;
  const int h = (row - n * window.Ho) * window.stride_h - window.padding_h;
  const int w = (pixel - row * window.Wo) * window.stride_w - window.padding_w;
  return offset_of(h, w, n * window.H + h, 0, window);
}

/// Of a tap that the window has, from its first element; others read nothing.
__device__ inline Offset tap_offset(int tap, const Window& window) {
  if (tap >= window.taps()) return {0, kOutOfBounds, 0};
  const int position = tap / window.C;
  const int h = position / window.kW * window.dilation_h, w = position % window.kW * window.dilation_w;
  return offset_of(h, w, h, tap % window.C, window);
}

/// Whether the tap lies in the image.
__device__ inline bool is_inside(const Offset& corner, const Offset& tap, const Window& window) {
  const auto within = [](int at, int size) { return static_cast<unsigned>(at) < static_cast<unsigned>(size); };
  return within(corner.h + tap.h, window.H) && within(corner.w + tap.w, window.W);
}

/// The double-buffered main loop of a GEMM over its k-tiles, with register staging. `locate` writes the offsets of a k-tile to
/// shared memory, `load` brings its elements to registers, `write` from there to shared memory. `multiply` reads them there.
/// Offsets and elements have two buffers in shared memory each. All threads of a block call it.
template <class Locate, class Load, class Write, class Multiply>
__device__ void run_main_loop(int k_tiles, const Locate& locate, const Load& load, const Write& write, const Multiply& multiply) {
  locate(0);
  __syncthreads();
  load(0);
  locate(1);
  write(0);
  __syncthreads();
  for (int k_tile = 0; k_tile < k_tiles; ++k_tile) {
    const bool more = k_tile + 1 < k_tiles;
    if (more) load(k_tile + 1);
    locate(k_tile + 2);
    multiply(k_tile);
    if (more) write(k_tile + 1);
    __syncthreads();
  }
}

}  // namespace gpucnn::kernels::cuda
