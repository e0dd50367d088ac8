#pragma once

#include <memory>

#include <gpucnn/core/export.h>
#include <gpucnn/core/precision.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/activation/activation.h>

namespace gpucnn::kernels {

/// [N, in_features] -> [N, out_features]. Throws `std::invalid_argument` for another rank or number of features.
GPUCNN_API Shape linear_shape(const Shape& x, std::int64_t in_features, std::int64_t out_features);

/// y = x weight^T + bias, PyTorch's Linear, prepared for one input shape.
/// x: [N, I]; weight: [O, I]; bias: [O] if there is one, else undefined; y: [N, O]; these and gradients of x and y of the
/// precision's `activation_dtype`, gradients of weight and bias f32. In bf16 on the CPU x, weight and dy are numbers that bf16 has:
/// others may count as they are, or rounded. Results do not depend on the number of threads. N may be 0. The forward keeps
/// subnormal numbers, so that a ReLU passes what PyTorch's does; on the CPU the gradients may have 0 for results below 2^-126.
class GPUCNN_API LinearPlan {
 public:
  /// Throws what `linear_shape` throws, `std::invalid_argument` for no features, and `DeviceError` for a precision that the device
  /// has not.
  LinearPlan(const Shape& x, std::int64_t out_features, bool bias, Device device, Precision precision = Precision::fp32);
  ~LinearPlan();
  LinearPlan(LinearPlan&&) noexcept;
  LinearPlan& operator=(LinearPlan&&) noexcept;

  /// Whether it is for inputs of this shape there, computed so.
  bool serves(const Shape& x, Device device, Precision precision) const noexcept {
    return x == x_ && device == device_ && precision == precision_;
  }
  const Shape& y_shape() const noexcept { return y_; }

  /// y = x weight^T + bias, then the epilogue. In bf16 a product may be rounded before the bias is added, and the sum
  /// again: cuBLASLt does so where `I` is odd.
  void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y, Stream& stream);

  /// dx = dy weight. On the CPU terms in which dy is exactly 0 may be left out, here and in dweight. An infinity or NaN in the
  /// other factor is left out with them.
  void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream);

  /// dweight = dy^T x and dbias = the sum of dy over the batch, added to what is there where `accumulate` says so. dbias is
  /// undefined without a bias.
  struct Accumulate {
    bool dweight = false, dbias = false;
  };
  void backward_weights(const Tensor& x, const Tensor& dy, Accumulate accumulate, Tensor& dweight, Tensor& dbias, Stream& stream);

  class Impl;  ///< a device's side of it

 private:
  /// Null for an empty batch, which needs none. Throws `std::logic_error` if this plan was moved from.
  Impl* impl_for(const char* op) const;

  Shape x_, weight_, y_;
  bool bias_;
  Device device_;
  Precision precision_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gpucnn::kernels
