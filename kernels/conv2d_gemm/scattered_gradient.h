#pragma once

#include <cstdint>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/seen_values.h>
#include <gpucnn/kernels/conv2d_gemm/packed_weights.h>

namespace gpucnn::kernels::cpu {

/// The gradient of x as windows that are added where they were read: each pixel of dy, times the weights, gives the terms of one
/// window. So the vectors lie along the window's terms, and no product is with padding. It serves one thread at a time.
class ScatteredGradient {
 public:
  /// Whether it takes less time than correlating dy: where x has few channels for a vector, or dy far fewer pixels than x.
  static bool pays(const Shape& x, const Shape& y, const Conv2dOptions& options);

  ScatteredGradient(const Shape& x, const Shape& y, const Conv2dOptions& options);

  void run(const Tensor& dy, const Tensor& weight, Tensor& dx);

 private:
  void scatter(const float* dy, const float* weights, float* scratch, float* image) const;

  Correlation c_;  // pixels of dy to the terms of their windows
  Axis rows_, columns_;
  std::int64_t C_;               // of a group
  std::int64_t height_, width_;  // of all windows of an image
  std::vector<std::int64_t> pixels_, even_, windows_;
  SeenValues seen_;  // the weights that packed_ was made from
  Tensor packed_, zeros_;
};

}  // namespace gpucnn::kernels::cpu
