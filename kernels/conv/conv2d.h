#pragma once

#include <memory>

#include <gpucnn/core/export.h>
#include <gpucnn/core/precision.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/conv/conv2d_options.h>

namespace gpucnn::kernels {

/// [N, C, H, W] -> [N, K, Ho, Wo] with Ho = floor((H + top + bottom - dilation (kernel_size - 1) - 1) / stride) + 1, as PyTorch,
/// and Wo likewise; top and bottom are the padding's. N may be 0. Throws `std::invalid_argument` for a rank other than 4, other
/// than `in_channels` channels, or an image without a pixel. Also for a window larger than the padded image, options out of their
/// bounds, and sizes that 63 bits do not count.
GPUCNN_API Shape conv2d_shape(const Shape& x, std::int64_t in_channels, std::int64_t out_channels, const Conv2dOptions& options);

/// [K, C / groups, kH, kW]. Throws `std::invalid_argument` for options out of their bounds or channels that the groups do not
/// divide.
GPUCNN_API Shape conv2d_weight_shape(std::int64_t in_channels, std::int64_t out_channels, const Conv2dOptions& options);

/// With numbers in place of `Padding2d::same`: dilation (kernel_size - 1) zeros along each axis, half of them, rounded down, before
/// the image. Throws `std::invalid_argument` where the stride is not 1, as PyTorch does, or 31 bits do not count them.
GPUCNN_API Conv2dOptions with_sides(Conv2dOptions options);

/// What is done to the sums of a convolution: y = activation(sums + addend). addend: of y's shape, and not y.
struct Conv2dSum {
  Tensor addend;
  Activation activation;
};

/// What is done to a gradient of x: dx = (gradient + addend) times the derivative of `before`, the activation that made x. Its
/// backward reads its y; with none x is not read. addend: of x's shape, and not dx; undefined: none.
struct Conv2dBefore {
  Tensor x;
  Activation before;
  Tensor addend;
};

/// A convolution (cross-correlation, as PyTorch's Conv2d) prepared for one input shape: what the device's library wants to know
/// once. x: [N, C, H, W]; weight: [K, C / groups, kH, kW]; bias: [K] if options.bias, else undefined; y: [N, K, Ho, Wo]; these and
/// gradients of x and y of the precision's `activation_dtype`, gradients of weight and bias f32. In bf16 on the CPU x, weight and
/// dy are numbers that bf16 has: others may count as they are, or rounded. Results do not depend on the number of threads. N may be
/// 0. Subnormal numbers are kept. The padding's zeros are factors like any pixel: a weight, or a gradient of y, that is infinite or
/// NaN makes NaN where its window meets them. cuDNN alone does not promise it.
class GPUCNN_API Conv2dPlan {
 public:
  /// `x` is the input's shape. Throws what the shape functions throw, and `DeviceError` for a precision that the device has not.
  Conv2dPlan(const Shape& x, std::int64_t out_channels, const Conv2dOptions& options, Device device,
             Precision precision = Precision::fp32);
  ~Conv2dPlan();
  Conv2dPlan(Conv2dPlan&&) noexcept;
  Conv2dPlan& operator=(Conv2dPlan&&) noexcept;

  /// Whether it is for inputs of this shape there, computed so.
  bool serves(const Shape& x, Device device, Precision precision) const noexcept {
    return x == x_ && device == device_ && precision == precision_;
  }
  const Shape& y_shape() const noexcept { return y_; }

  /// y = epilogue(conv(x, weight) + bias).
  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y, Stream& stream);

  /// Whether `forward_sum` may take the sum into its pass.
  bool takes_sum() const noexcept;
  /// The same with a sum before its activation. False, with y as it was, where that would take a pass of its own.
  bool forward_sum(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dSum& sum, Tensor& y, Stream& stream);

  /// dx = the gradient of x.
  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream);
  /// The same with what stands before the convolution.
  void backward_data(const Tensor& dy, const Tensor& weight, const Conv2dBefore& before, Tensor& dx, Stream& stream);

  /// dweight and dbias = the gradients of weight and bias, added to what is there where `accumulate` says so. dbias is undefined
  /// without a bias.
  struct Accumulate {
    bool dweight = false, dbias = false;
  };
  void backward_weights(const Tensor& x, const Tensor& dy, Accumulate accumulate, Tensor& dweight, Tensor& dbias, Stream& stream);

  class Impl;  ///< a device's side of it

 private:
  /// Null for an empty batch, which needs none. Throws `std::logic_error` if this plan was moved from.
  Impl* impl_for(const char* op) const;
  void check_forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y, const Stream& stream) const;
  void check_backward_data(const Tensor& dy, const Tensor& weight, const Tensor& dx, const Stream& stream) const;

  Shape x_, weight_, y_;
  bool bias_;
  Device device_;
  Precision precision_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gpucnn::kernels
