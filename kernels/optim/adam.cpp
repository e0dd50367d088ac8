#include <gpucnn/kernels/optim/adam.h>

#include <cmath>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/optim/twins.h>

namespace gpucnn::kernels {

namespace {

void check_step(const AdamStep& s) {
  check_value("adam", "lr", s.lr, s.lr >= 0, ">= 0");
  check_value("adam", "lr", s.lr, finite_in_f32(s.lr), "finite in f32");
  check_value("adam", "beta1", s.beta1, s.beta1 >= 0 && s.beta1 < 1, "in [0, 1)");
  check_value("adam", "beta2", s.beta2, s.beta2 >= 0 && s.beta2 < 1, "in [0, 1)");
  check_value("adam", "eps", s.eps, s.eps >= 0, ">= 0");
  check_value("adam", "eps", s.eps, finite_in_f32(s.eps), "finite in f32");
  check_value("adam", "weight_decay", s.weight_decay, s.weight_decay >= 0, ">= 0");
  check_value("adam", "weight_decay", s.weight_decay, finite_in_f32(s.weight_decay), "finite in f32");
  check_value("adam", "step", s.step, s.step >= 1, ">= 1");
}

}  // namespace

void adam(const Tensor& dweight, const AdamStep& step, Tensor& weight, Tensor& m, Tensor& v, Stream& stream) {
  Tensor none;
  adam(dweight, step, weight, m, v, none, stream);
}

void adam(const Tensor& dweight, const AdamStep& step, Tensor& weight, Tensor& m, Tensor& v, Tensor& max_v, Stream& stream) {
  check_tensor("adam", "weight", weight, DType::f32, stream);
  check_tensor("adam", "dweight", dweight, weight.shape(), DType::f32, stream);
  check_tensor("adam", "m", m, weight.shape(), DType::f32, stream);
  check_tensor("adam", "v", v, weight.shape(), DType::f32, stream);
  if (max_v.defined()) check_tensor("adam", "max_v", max_v, weight.shape(), DType::f32, stream);
  check_step(step);
  dispatch(
      stream, [&] { cpu::adam(dweight, step, weight, m, v, max_v, stream); },
      [&] { cuda::adam(dweight, step, weight, m, v, max_v, stream); });
}

}  // namespace gpucnn::kernels
