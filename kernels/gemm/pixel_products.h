#pragma once

#include <cstdint>

#include <gpucnn/kernels/gemm/gemm_panel.h>

namespace gpucnn::kernels::cpu {

/// The outputs of some pixels, for channels [first, last) of a group; `first` is a multiple of kGemmPanel. A sum begins
/// with the bias; parts of up to kMaxTerms terms are added in their order. So it depends neither on the other pixels nor on other
/// channels.
struct PixelProducts {
  const float* x;            // the first pixel's first tap
  const std::int64_t* x_at;  // of each pixel, from there
  const std::int64_t* even;  // for each pixel, how many from it on are evenly spaced
  float* y;
  const std::int64_t* y_at;
  std::int64_t pixels;
  const Run* runs;
  std::int64_t terms;
  const float* weights;  // [panels][terms][kGemmPanel]
  const float* bias;     // [panels][kGemmPanel]
  std::int64_t first, last;
  bool rectifies = false;            // y is ReLU of the sums
  const float* relu_made = nullptr;  // as y, where the ReLU's backward is taken: y is 0 where this is not above 0
  bool fetches = false;              // weights may be far away, and are fetched ahead
};
void multiply_pixels(const PixelProducts& p);

}  // namespace gpucnn::kernels::cpu
