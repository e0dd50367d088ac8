#include <gpucnn/kernels/conv2d_onednn/onednn_convolution.h>

namespace gpucnn::kernels::onednn {
namespace {

using dnnl::memory;
using Dims = memory::dims;

constexpr auto kF32 = memory::data_type::f32;

/// Weights as oneDNN counts them: [K, C, kH, kW], or [G, K / G, C / G, kH, kW] in groups.
Dims weight_dims(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  const std::int64_t groups = options.groups;
  Dims dims{y[1] / groups, x[1] / groups, options.kernel_size.height, options.kernel_size.width};
  if (groups > 1) dims.insert(dims.begin(), groups);
  return dims;
}

}  // namespace

Convolution convolution(std::int64_t images, const Shape& x, const Shape& y, const Conv2dOptions& options) {
  constexpr auto kNhwc = memory::format_tag::nhwc;
  const Size2 kernel = options.kernel_size, stride = options.stride, padding = options.padding.before(),
              dilation = options.dilation;
  // What the last window reaches beyond the image; less than the padding, even negative, where the stride skips the rest.
  const auto right = [](std::int64_t in, std::int64_t out, int size, int step, int before, int apart) {
    return (out - 1) * step + std::int64_t{apart} * (size - 1) + 1 - in - before;
  };
  return {.x = {{images, x[1], x[2], x[3]}, kF32, kNhwc},
          .weight = {weight_dims(x, y, options), kF32, memory::format_tag::any},
          .bias = options.bias ? memory::desc({y[1]}, kF32, memory::format_tag::a) : memory::desc(),
          .y = {{images, y[1], y[2], y[3]}, kF32, kNhwc},
          .strides = {stride.height, stride.width},
          .dilates = {dilation.height - 1, dilation.width - 1},
          .padding_left = {padding.height, padding.width},
          .padding_right = {right(x[2], y[2], kernel.height, stride.height, padding.height, dilation.height),
                            right(x[3], y[3], kernel.width, stride.width, padding.width, dilation.width)}};
}

memory::desc weight_desc(const Shape& x, const Shape& y, const Conv2dOptions& options) {
  // [K, kH, kW, C / G] in memory, so the groups, which split K, are outermost already.
  return {weight_dims(x, y, options), kF32, options.groups > 1 ? memory::format_tag::gohwi : memory::format_tag::ohwi};
}

#if DNNL_VERSION_MAJOR >= 3

dnnl::convolution_forward::primitive_desc convolution_forward(const Convolution& c, const Engine& engine) {
  return {engine.engine,
          dnnl::prop_kind::forward_training,
          dnnl::algorithm::convolution_direct,
          c.x,
          c.weight,
          c.bias,
          c.y,
          c.strides,
          c.dilates,
          c.padding_left,
          c.padding_right,
          attributes()};
}

dnnl::convolution_backward_data::primitive_desc convolution_backward_data(const Convolution& c, const Engine& engine) {
  const Convolution plain{c.x, c.weight, {}, c.y, c.strides, c.dilates, c.padding_left, c.padding_right};
  return {engine.engine,   dnnl::algorithm::convolution_direct, c.x,         c.weight, c.y, c.strides, c.dilates, c.padding_left,
          c.padding_right, convolution_forward(plain, engine),  attributes()};
}

dnnl::convolution_backward_weights::primitive_desc convolution_backward_weights(const Convolution& c, const Engine& engine) {
  return {engine.engine,
          dnnl::algorithm::convolution_direct,
          c.x,
          c.weight,
          c.bias,
          c.y,
          c.strides,
          c.dilates,
          c.padding_left,
          c.padding_right,
          convolution_forward(c, engine),
          attributes()};
}

#else

dnnl::convolution_forward::primitive_desc convolution_forward(const Convolution& c, const Engine& engine) {
  return {dnnl::convolution_forward::desc(dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, c.x, c.weight,
                                          c.bias, c.y, c.strides, c.dilates, c.padding_left, c.padding_right),
          attributes(), engine.engine};
}

dnnl::convolution_backward_data::primitive_desc convolution_backward_data(const Convolution& c, const Engine& engine) {
  const Convolution plain{c.x, c.weight, {}, c.y, c.strides, c.dilates, c.padding_left, c.padding_right};
  return {dnnl::convolution_backward_data::desc(dnnl::algorithm::convolution_direct, c.x, c.weight, c.y, c.strides, c.dilates,
                                                c.padding_left, c.padding_right),
          attributes(), engine.engine, convolution_forward(plain, engine)};
}

dnnl::convolution_backward_weights::primitive_desc convolution_backward_weights(const Convolution& c, const Engine& engine) {
  return {dnnl::convolution_backward_weights::desc(dnnl::algorithm::convolution_direct, c.x, c.weight, c.bias, c.y, c.strides,
                                                   c.dilates, c.padding_left, c.padding_right),
          attributes(), engine.engine, convolution_forward(c, engine)};
}

#endif

}  // namespace gpucnn::kernels::onednn
