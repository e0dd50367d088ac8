#pragma once

#include <cstdint>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/conv2d_gemm/correlation.h>
#include <gpucnn/kernels/gemm/gemm_panel.h>

namespace gpucnn::kernels::cpu {

/// Floats of a group's packed weights: [panels][terms][kGemmPanel].
inline std::int64_t packed_group(const Correlation& c) { return panels_of(c.K) * c.terms() * kGemmPanel; }

/// How a correlation's weights lie in a convolution's [K, kH, kW, C / groups], in floats from one to the next.
struct WeightLayout {
  std::int64_t group, output, channel, tap, row_of_taps;

  /// The correlation's outputs are the convolution's.
  static WeightLayout forward(const Correlation& c, std::int64_t height, std::int64_t width) {
    const std::int64_t terms = height * width * c.C;
    return {c.K * terms, terms, 1, c.C, width * c.C};
  }
  /// The correlation's outputs are the convolution's inputs.
  static WeightLayout exchanged(const Correlation& c, std::int64_t height, std::int64_t width) {
    const std::int64_t terms = height * width * c.K;
    return {c.C * terms, 1, terms, c.K, width * c.K};
  }
};

/// to[group][panel][term][output of the panel] = the weights; 0 behind the last output.
void pack_weights(const Correlation& c, const WeightLayout& layout, const float* weight, float* to);

}  // namespace gpucnn::kernels::cpu
