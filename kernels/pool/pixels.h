#pragma once

#include <cstdint>
#include <type_traits>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/cuda/vector_access.h>

/// How the CUDA twins of pooling share the work: a thread takes one pixel and `kWidth` of its channels, which lie side by side. In
/// .cu files only.
namespace gpucnn::kernels::cuda {

/// x: [N, C, H, W], y: [N, C, Ho, Wo].
struct Extents {
  std::int64_t N, C, H, W, Ho, Wo;
};

inline Extents extents_of(const Tensor& x, const Tensor& y) { return {x.dim(0), x.dim(1), x.dim(2), x.dim(3), y.dim(2), y.dim(3)}; }

/// A thread's pixel and the first of its channels.
struct Pixel {
  std::int64_t n, row, column, c;
};

template <int kWidth>
__device__ Pixel pixel_of(std::int64_t item, std::int64_t C, std::int64_t height, std::int64_t width) {
  const std::int64_t groups = C / kWidth, pixel = item / groups, row = pixel / width;
  return {row / height, row % height, pixel % width, item % groups * kWidth};
}

/// Calls `body` with 4 where four channels at a time can be read and written from all pointers on, and else with 1.
template <class Body, class... T>
void for_width(std::int64_t C, const Body& body, const T*... pointers) {
  if (C % 4 == 0 && are_aligned<4>(pointers...)) {
    body(std::integral_constant<int, 4>());
  } else {
    body(std::integral_constant<int, 1>());
  }
}

}  // namespace gpucnn::kernels::cuda
