#pragma once

#include <gpucnn/kernels/linear/linear.h>

namespace gpucnn::kernels {

/// What a device provides for a LinearPlan; arguments were checked, N, I and O are > 0.
class LinearPlan::Impl {
 public:
  virtual ~Impl() = default;
  virtual void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Activation& epilogue, Tensor& y,
                       Stream& stream) = 0;
  virtual void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx, Stream& stream) = 0;
  virtual void backward_weights(const Tensor& x, const Tensor& dy, Accumulate accumulate, Tensor& dweight, Tensor& dbias,
                                Stream& stream) = 0;
};

namespace cpu {
std::unique_ptr<LinearPlan::Impl> linear(std::int64_t N, std::int64_t I, std::int64_t O);
}  // namespace cpu

namespace cuda {
std::unique_ptr<LinearPlan::Impl> linear_cublas(std::int64_t N, std::int64_t I, std::int64_t O, bool bias, Device device,
                                                Precision precision);
}  // namespace cuda

}  // namespace gpucnn::kernels
