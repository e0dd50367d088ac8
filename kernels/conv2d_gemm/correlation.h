#pragma once

#include <cstdint>
#include <vector>

#include <gpucnn/core/shape.h>
#include <gpucnn/kernels/common/axis.h>
#include <gpucnn/kernels/conv/conv2d_options.h>

namespace gpucnn::kernels::cpu {

/// Images of [N, inputs, inputs, groups C] correlated with windows of weights: all pixels of a convolution's y, or those of the
/// gradient of x that meet the same taps. A term is one product of an output's sum. Its terms are numbered by row of taps, then by
/// column of taps, then by channel.
struct Correlation {
  std::int64_t N, C, K, groups;  // C and K: of a group
  Axis rows, columns;
  std::int64_t height, width;  // of the images that the outputs lie in

  std::int64_t terms() const { return rows.taps * columns.taps * C; }
  std::int64_t pixels() const { return N * rows.outputs * columns.outputs; }
  /// Floats of an image.
  std::int64_t input_image() const { return rows.inputs * columns.inputs * groups * C; }
  std::int64_t output_image() const { return height * width * groups * K; }
  /// Whether some output has a tap in the padding.
  bool is_padded() const;
  /// Whether a row of outputs, and what it reads with the padding as pixels, is small enough to be copied.
  bool has_small_rows() const;
};

/// y of a convolution of x. That of single pixels has all images as rows of one pixel.
Correlation forward_correlation(const Shape& x, const Shape& y, const Conv2dOptions& options);

/// The gradient of x from that of y: one correlation for each remainder of rows and columns by the stride.
std::vector<Correlation> gradient_correlations(const Shape& x, const Shape& y, const Conv2dOptions& options);

}  // namespace gpucnn::kernels::cpu
