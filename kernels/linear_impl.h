#pragma once

#include <gpucnn/kernels/linear.h>

namespace gpucnn::kernels {

/// What a device provides for a LinearPlan; arguments were checked, N, I and O are > 0.
class LinearPlan::Impl {
 public:
  virtual ~Impl() = default;
  virtual void forward(const Tensor& x, const Tensor& weight, const Tensor& bias, bool relu, Tensor& y) = 0;
  virtual void backward_data(const Tensor& dy, const Tensor& weight, Tensor& dx) = 0;
  virtual void backward_weights(const Tensor& x, const Tensor& dy, Accumulate accumulate, Tensor& dweight, Tensor& dbias) = 0;
};

namespace cpu {
std::unique_ptr<LinearPlan::Impl> linear_onednn(std::int64_t N, std::int64_t I, std::int64_t O, bool bias);
}  // namespace cpu

}  // namespace gpucnn::kernels
