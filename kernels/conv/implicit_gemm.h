#pragma once

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/kernels/conv/conv2d_options.h>

/// Where a convolution's window lies, for kernels that count in 32 bits what `conv2d_counts_in_int` lets pass. In .cu files only.
namespace gpucnn::kernels::cuda {

/// A convolution's sizes. A place is a pixel of the output in some image, a tap an element (r, s, c) of the window over the input,
/// as the weight lies in memory.
struct Window {
  int places;
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
  w.places = extent(out[0] * out[2] * out[3]);
  w.kH = options.kernel_size.height, w.kW = options.kernel_size.width;
  w.stride_h = options.stride.height, w.stride_w = options.stride.width;
  w.padding_h = options.padding.height, w.padding_w = options.padding.width;
  w.dilation_h = options.dilation.height, w.dilation_w = options.dilation.width;
  return w;
}

/// The first element of the window of a place, or how far a tap is from there: in its image, which the element may be outside of,
/// and in memory, where only the sum of the two means something.
struct Offset {
  unsigned memory;
  int h, w;
};

constexpr int kNowhere = -(1 << 30);  // a row to which nothing can be added that leads into the image

__device__ inline Offset offset_of(int h, int w, int line, int c, const Window& window) {
  const unsigned pixel = static_cast<unsigned>(line) * static_cast<unsigned>(window.W) + static_cast<unsigned>(w);
  return {pixel * static_cast<unsigned>(window.C) + static_cast<unsigned>(c), h, w};
}

/// Of a place before `end`; other places read nothing.
__device__ inline Offset corner_of(int place, int end, const Window& window) {
  if (place >= end) return {0, kNowhere, 0};
  const int row = place / window.Wo, n = row / window.Ho;
  const int h = (row - n * window.Ho) * window.stride_h - window.padding_h;
  const int w = (place - row * window.Wo) * window.stride_w - window.padding_w;
  return offset_of(h, w, n * window.H + h, 0, window);
}

/// To a tap that the window has; others read nothing.
__device__ inline Offset step_to(int tap, const Window& window) {
  if (tap >= window.taps()) return {0, kNowhere, 0};
  const int pixel = tap / window.C, h = pixel / window.kW * window.dilation_h, w = pixel % window.kW * window.dilation_w;
  return offset_of(h, w, h, tap % window.C, window);
}

/// Whether the tap lies in the image.
__device__ inline bool is_inside(const Offset& corner, const Offset& step, const Window& window) {
  const auto within = [](int at, int size) { return static_cast<unsigned>(at) < static_cast<unsigned>(size); };
  return within(corner.h + step.h, window.H) && within(corner.w + step.w, window.W);
}

/// How a block overlaps the memory's way with its own work: `find` prepares where a stage is read, in shared memory for two stages;
/// `read` brings it to registers and `keep` to shared memory, for two stages too; `multiply` works on it. All threads call it.
template <class Find, class Read, class Keep, class Multiply>
__device__ void run_stages(int stages, const Find& find, const Read& read, const Keep& keep, const Multiply& multiply) {
  find(0);
  __syncthreads();
  read(0);
  find(1);
  keep(0);
  __syncthreads();
  for (int stage = 0; stage < stages; ++stage) {
    const bool more = stage + 1 < stages;
    if (more) read(stage + 1);
    find(stage + 2);
    multiply(stage);
    if (more) keep(stage + 1);
    __syncthreads();
  }
}

}  // namespace gpucnn::kernels::cuda
