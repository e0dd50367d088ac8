#include <gpucnn/kernels/muon/muon.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/muon/twins.h>

namespace gpucnn::kernels {

namespace {

void check_coefficient(const char* name, double value) {
  check_value("muon", name, value, value >= 0, ">= 0");
  check_value("muon", name, value, finite_in_f32(value), "finite in f32");
}

}  // namespace

void muon_direction(const Tensor& dweight, const MuonStep& step, Tensor& momentum_buffer, Tensor& direction, Stream& stream) {
  check_tensor("muon", "dweight", dweight, DType::f32, stream);
  check_tensor("muon", "momentum_buffer", momentum_buffer, dweight.shape(), DType::f32, stream);
  check_tensor("muon", "direction", direction, dweight.shape(), DType::f32, stream);
  check_coefficient("momentum", step.momentum);
  dispatch(
      stream, [&] { cpu::muon_direction(dweight, step, momentum_buffer, direction, stream); },
      [&] { cuda::muon_direction(dweight, step, momentum_buffer, direction, stream); });
}

void muon_update(const Tensor& direction, const MuonStep& step, Tensor& weight, Stream& stream) {
  check_tensor("muon", "weight", weight, DType::f32, stream);
  check_tensor("muon", "direction", direction, weight.shape(), DType::f32, stream);
  check_coefficient("lr", step.lr);
  check_coefficient("lr_ratio", step.lr_ratio);
  check_coefficient("weight_decay", step.weight_decay);
  dispatch(
      stream, [&] { cpu::muon_update(direction, step, weight, stream); },
      [&] { cuda::muon_update(direction, step, weight, stream); });
}

}  // namespace gpucnn::kernels
