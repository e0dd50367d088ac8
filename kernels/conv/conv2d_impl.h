#pragma once

#include <gpucnn/kernels/conv/conv2d.h>

namespace gpucnn::kernels {

/// What a device provides for a Conv2dPlan; arguments were checked, N > 0.
class Conv2dPlan::Impl {
 public:
  virtual ~Impl() = default;
  virtual void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
                       Stream& stream) = 0;
  virtual void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) = 0;
  virtual bool takes_sum() const noexcept { return false; }
  /// The same with more work in their passes. False, with the result as it was, where that must have passes of its own.
  virtual bool forward_sum(const Tensor&, const Tensor&, const Tensor&, const Conv2dSum&, Tensor&, Stream&) { return false; }
  virtual bool backward_data_before(const Tensor&, const Tensor&, const Conv2dBefore&, Tensor&, Stream&) { return false; }
  virtual void backward_weights(const Tensor& x, const Tensor& dy, Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                                Stream& stream) = 0;
};

namespace cpu {
/// A convolution that may be refused: a call is false, with the results not to be used, once its library may not be called any
/// more.
class OptionalConv2d {
 public:
  virtual ~OptionalConv2d() = default;
  virtual bool forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
                       Stream& stream) = 0;
  virtual bool backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) = 0;
  virtual bool backward_weights(const Tensor& x, const Tensor& dy, Conv2dPlan::Accumulate accumulate, Tensor& dweight,
                                Tensor& dbias, Stream& stream) = 0;
};
/// If oneDNN computes this convolution faster than we do. Null if not, or if this build has no oneDNN.
std::unique_ptr<OptionalConv2d> faster_by_onednn(const Shape& x, const Shape& y, const Conv2dOptions& options);

std::unique_ptr<Conv2dPlan::Impl> conv2d_cpu(const Shape& x, const Shape& y, const Conv2dOptions& options);
std::unique_ptr<Conv2dPlan::Impl> conv2d_onednn(const Shape& x, const Shape& y, const Conv2dOptions& options);
std::unique_ptr<Conv2dPlan::Impl> conv2d_direct(const Shape& x, const Shape& y, const Conv2dOptions& options);
std::unique_ptr<Conv2dPlan::Impl> conv2d_gemm(const Shape& x, const Shape& y, const Conv2dOptions& options);
std::unique_ptr<Conv2dPlan::Impl> depthwise_conv2d(const Shape& x, const Shape& y,
                                                   const Conv2dOptions& options);  // groups == C > 1
}  // namespace cpu

namespace cuda {
std::unique_ptr<Conv2dPlan::Impl> conv2d_cudnn(const Shape& x, const Shape& y, const Conv2dOptions& options, Device device,
                                               Precision precision);
}  // namespace cuda

}  // namespace gpucnn::kernels
