#pragma once

#include <cstdint>

#include <gpucnn/kernels/conv/conv2d_options.h>
#include <gpucnn/kernels/vendor/onednn.h>

/// Convolutions as oneDNN describes them: 2.6 and 3.x make their primitives by different calls.
namespace gpucnn::kernels::onednn {

/// Extents and hyper-parameters of a convolution as oneDNN counts them.
struct Convolution {
  dnnl::memory::desc x, weight, bias, y;  // weight: format `any`; bias: empty without one
  dnnl::memory::dims strides, dilates, padding_left, padding_right;
};

/// N images of x's and y's extents.
Convolution convolution(std::int64_t images, const Shape& x, const Shape& y, const Conv2dOptions& options);
/// The weights' layout in a Tensor: [K, C / groups, kH, kW], channels-last.
dnnl::memory::desc weight_desc(const Shape& x, const Shape& y, const Conv2dOptions& options);

dnnl::convolution_forward::primitive_desc convolution_forward(const Convolution& c, const Engine& engine);
dnnl::convolution_backward_data::primitive_desc convolution_backward_data(const Convolution& c, const Engine& engine);
dnnl::convolution_backward_weights::primitive_desc convolution_backward_weights(const Convolution& c, const Engine& engine);

}  // namespace gpucnn::kernels::onednn
