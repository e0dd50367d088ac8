#include <gpucnn/kernels/optim/rmsprop.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/optim/twins.h>

namespace gpucnn::kernels {

namespace {

void check_step(const RmspropStep& s) {
  check_value("rmsprop", "lr", s.lr, s.lr >= 0, ">= 0");
  check_value("rmsprop", "lr", s.lr, finite_in_f32(s.lr), "finite in f32");
  check_value("rmsprop", "alpha", s.alpha, s.alpha >= 0 && s.alpha <= 1, "in [0, 1]");
  check_value("rmsprop", "eps", s.eps, s.eps >= 0, ">= 0");
  check_value("rmsprop", "eps", s.eps, finite_in_f32(s.eps), "finite in f32");
  check_value("rmsprop", "weight_decay", s.weight_decay, s.weight_decay >= 0, ">= 0");
  check_value("rmsprop", "weight_decay", s.weight_decay, finite_in_f32(s.weight_decay), "finite in f32");
  check_value("rmsprop", "momentum", s.momentum, s.momentum >= 0, ">= 0");
  check_value("rmsprop", "momentum", s.momentum, finite_in_f32(s.momentum), "finite in f32");
}

}  // namespace

void rmsprop(const Tensor& dweight, const RmspropStep& step, Tensor& weight, RmspropState& state, Stream& stream) {
  check_tensor("rmsprop", "weight", weight, DType::f32, stream);
  check_tensor("rmsprop", "dweight", dweight, weight.shape(), DType::f32, stream);
  check_tensor("rmsprop", "square_avg", state.square_avg, weight.shape(), DType::f32, stream);
  check_step(step);
  if (step.momentum != 0 || state.momentum_buffer.defined()) {
    check_tensor("rmsprop", "momentum_buffer", state.momentum_buffer, weight.shape(), DType::f32, stream);
  }
  if (step.centered) check_tensor("rmsprop", "grad_avg", state.grad_avg, weight.shape(), DType::f32, stream);
  dispatch(
      stream, [&] { cpu::rmsprop(dweight, step, weight, state, stream); },
      [&] { cuda::rmsprop(dweight, step, weight, state, stream); });
}

}  // namespace gpucnn::kernels
