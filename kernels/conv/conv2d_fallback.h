#pragma once

#include <memory>

#include <gpucnn/kernels/conv/conv2d_impl.h>

namespace gpucnn::kernels::cuda {

/// A convolution of our own, for the shapes that no engine of cuDNN takes: every stride, padding, dilation and number of groups.
/// Results are the same bits every time.
std::unique_ptr<Conv2dPlan::Impl> conv2d_fallback(const Shape& x, const Shape& y, const Conv2dOptions& options);

}  // namespace gpucnn::kernels::cuda
