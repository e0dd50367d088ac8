#pragma once

#include <cstdint>

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// A function that is applied to each element by itself, with its parameters: `{Activation::relu}`. Also what a convolution or a
/// linear layer applies to its result, as its epilogue.
struct Activation {
  enum Kind : std::uint8_t {
    none,        ///< y = x
    relu,        ///< y = max(x, 0); NaN stays NaN, as in PyTorch
    leaky_relu,  ///< y = x where x > 0, else negative_slope * x
    relu6,       ///< y = min(max(x, 0), 6); NaN stays NaN
    gelu,        ///< y = x (1 + erf(x / sqrt(2))) / 2
    gelu_tanh,   ///< y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
    silu,        ///< y = x / (1 + exp(-x))
    hardswish,   ///< y = x min(max(x + 3, 0), 6) / 6
    sigmoid,     ///< y = 1 / (1 + exp(-x))
    tanh,        ///< y = tanh(x)
    scaled,      ///< y = factor * x
  };
  Kind kind = none;
  float negative_slope = 0.01F;  ///< of leaky_relu
  float factor = 1.0F;           ///< of scaled
};

}  // namespace gpucnn

namespace gpucnn::kernels {

/// y = function(x), element by element. Where x is NaN, y is; x * 0 is NaN where x is infinite, as in PyTorch. x, y: f32, on a GPU
/// also bf16, the same shape; y may be x.
GPUCNN_API void activation(const Tensor& x, const Activation& function, Tensor& y, Stream& stream);

/// dx = dy * function'(x), element by element. `kept` is y if `activation_backward_reads_y(function)`, else x.
/// relu: dx = y <= 0 ? 0 : dy; where y is NaN, dx is dy, as in PyTorch.
/// leaky_relu: dx = x > 0 ? dy : negative_slope * dy; where x is NaN, dx is negative_slope * dy, as in PyTorch. With
/// negative_slope >= 0, y > 0 only where x > 0, and the backward reads y; else it reads x.
/// relu6: dx = y <= 0 or y >= 6 ? 0 : dy; where y is NaN, dx is dy, as in PyTorch.
/// gelu, gelu_tanh, silu: dx = dy * the derivative at x; where x is NaN or infinite, dx is NaN, as in PyTorch.
/// hardswish: dx = x <= -3 ? 0 : x < 3 ? dy * (x / 3 + 1 / 2) : dy, so that where x is NaN, dx is dy, as in PyTorch on a GPU.
/// sigmoid: dx = dy * y * (1 - y). tanh: dx = dy * (1 - y^2). scaled: dx = factor * dy, whatever y is.
/// kept, dy, dx: f32, on a GPU also bf16, the same shape; dx may be dy.
GPUCNN_API void activation_backward(const Tensor& kept, const Activation& function, const Tensor& dy, Tensor& dx, Stream& stream);

/// Whether the backward is computed from y, so that the forward may overwrite x. Otherwise it is computed from x.
GPUCNN_API bool activation_backward_reads_y(const Activation& function) noexcept;

}  // namespace gpucnn::kernels
