#include <gpucnn/kernels/optim/sgd.h>

#include <cmath>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/optim/twins.h>

namespace gpucnn::kernels {

namespace {

void check_step(const SgdStep& s) {
  check_value("sgd", "lr", s.lr, s.lr >= 0, ">= 0");
  check_value("sgd", "lr", s.lr, finite_in_f32(s.lr), "finite in f32");
  check_value("sgd", "momentum", s.momentum, s.momentum >= 0, ">= 0");
  check_value("sgd", "momentum", s.momentum, finite_in_f32(s.momentum), "finite in f32");
  check_value("sgd", "momentum", s.momentum, !s.nesterov || s.momentum > 0, "> 0 with nesterov");
  check_value("sgd", "dampening", s.dampening, !std::isnan(s.dampening), "a number");
  check_value("sgd", "dampening", s.dampening, finite_in_f32(s.dampening), "finite in f32");
  check_value("sgd", "dampening", s.dampening, !s.nesterov || s.dampening == 0, "0 with nesterov");
  check_value("sgd", "weight_decay", s.weight_decay, s.weight_decay >= 0, ">= 0");
  check_value("sgd", "weight_decay", s.weight_decay, finite_in_f32(s.weight_decay), "finite in f32");
}

}  // namespace

void sgd(const Tensor& dweight, const SgdStep& step, Tensor& weight, Tensor& velocity, Stream& stream) {
  check_tensor("sgd", "weight", weight, DType::f32, stream);
  check_tensor("sgd", "dweight", dweight, weight.shape(), DType::f32, stream);
  check_step(step);
  if (step.momentum != 0) check_tensor("sgd", "velocity", velocity, weight.shape(), DType::f32, stream);
  dispatch(
      stream, [&] { cpu::sgd(dweight, step, weight, velocity, stream); },
      [&] { cuda::sgd(dweight, step, weight, velocity, stream); });
}

}  // namespace gpucnn::kernels
