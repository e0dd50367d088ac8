#pragma once

#include <cstdint>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/declare_twins.h>
#include <gpucnn/kernels/norm/norm_epilogue.h>

/// What batch and group normalisation share: x is S segments of R rows and C columns, and a segment's columns form G groups of
/// equals. A batch is one segment with a group for each channel; in group normalisation each image is a segment.
namespace gpucnn::kernels {

struct NormSizes {
  std::int64_t S, R, C, G;

  std::int64_t group_channels() const noexcept { return C / G; }
  std::int64_t group_values() const noexcept { return R * group_channels(); }
};

/// Rows of `statistics`, f32 [kStatistics, S * G]. Where the mean is large the second row keeps what rounding took from the first.
inline constexpr std::int64_t kMean = 0, kMeanRest = 1, kRstd = 2, kVariance = 3, kStatistics = 4;

/// Memory for doubles, of which tensors have none.
inline Tensor doubles(std::int64_t count, Device device) {
  return Tensor::empty({count * std::int64_t{sizeof(double)}}, DType::u8, device);
}
inline double* doubles_of(Tensor& memory) { return reinterpret_cast<double*>(memory.bytes()); }

/// What a backward adds to: undefined without an affine map.
struct NormGradients {
  Tensor dweight, dbias;
  bool add_weight = false, add_bias = false;
};

/// statistics = those of each group. The sums are in double, of differences from the segment's first row.
GPUCNN_TWINS(void norm_statistics(const Tensor& x, const NormSizes& sizes, double eps, Tensor& statistics, Stream& stream))

/// y = epilogue((x - mean) rstd weight + bias); weight and bias: f32 [C] or undefined.
GPUCNN_TWINS(void normalize(const Tensor& x, const NormSizes& sizes, const Tensor& statistics, const Tensor& weight,
                            const Tensor& bias, const NormEpilogue& epilogue, Tensor& y, Stream& stream))

/// Gradients of `normalize`. If `fixed`, the statistics do not depend on x. dx is undefined where nobody asks for it.
GPUCNN_TWINS(void normalize_backward(const Tensor& x, const NormSizes& sizes, const Tensor& statistics, const Tensor& weight,
                                     const Tensor& dy, bool fixed, NormEpilogueBackward& epilogue, NormGradients& gradients,
                                     Tensor& dx, Stream& stream))

}  // namespace gpucnn::kernels
