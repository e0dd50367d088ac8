#include <gpucnn/optim/clip_grad.h>

#include <gpucnn/kernels/clip/clip_grad.h>
#include <gpucnn/kernels/common/check.h>

namespace gpucnn {
namespace {

/// Calls `use` with the gradients, f32 [count]: neighbours in memory at once. What lies between two of them does not belong to a
/// gradient, and must not become NaN with them.
template <class Use>
void for_gradients(const std::vector<Parameter>& parameters, const Use& use) {
  for (std::size_t i = 0; i < parameters.size();) {
    if (!parameters[i].has_grad()) {
      ++i;
      continue;
    }
    const Parameter::Slot slot = parameters[i].slot();
    std::int64_t count = 0;
    const auto continues = [&](const Parameter& parameter) {
      if (!parameter.has_grad()) return false;
      const Parameter::Slot next = parameter.slot();
      return next.grads.bytes() == slot.grads.bytes() && next.first == slot.first + count;
    };
    for (; i < parameters.size() && continues(parameters[i]); ++i) count += parameters[i].numel();
    Tensor gradients = slot.grads.view(slot.first, {count});
    use(gradients);
  }
}

/// Throws `std::logic_error` for a parameter that no model holds, with a gradient or without.
void require_packed(const std::vector<Parameter>& parameters) {
  for (const Parameter& parameter : parameters) static_cast<void>(parameter.slot());
}

}  // namespace

Tensor clip_grad_norm(const std::vector<Parameter>& parameters, double max_norm, double norm_type) {
  kernels::check_value("clip_grad_norm", "max_norm", max_norm, max_norm >= 0, ">= 0");
  kernels::check_value("clip_grad_norm", "norm_type", norm_type, norm_type > 0, "> 0");
  require_packed(parameters);
  std::int64_t pieces = 0;
  for_gradients(parameters, [&](const Tensor&) { ++pieces; });
  const Device device = parameters.empty() ? Device::cpu() : parameters.front().slot().grads.device();
  if (pieces == 0) return Tensor::zeros({}, DType::f32, device);
  Stream stream(device);
  // The norm of the pieces' norms is that of all.
  const Tensor norms = Tensor::empty({pieces}, DType::f32, device);
  std::int64_t piece = 0;
  for_gradients(parameters, [&](const Tensor& gradients) {
    Tensor norm = norms.view(piece++, {});
    kernels::vector_norm(gradients, norm_type, norm, stream);
  });
  Tensor total_norm = Tensor::empty({}, DType::f32, device);
  kernels::vector_norm(norms, norm_type, total_norm, stream);
  for_gradients(parameters, [&](Tensor& gradients) { kernels::clip_by_norm(total_norm, max_norm, gradients, stream); });
  return total_norm;
}

void clip_grad_value(const std::vector<Parameter>& parameters, double clip_value) {
  kernels::check_value("clip_grad_value", "clip_value", clip_value, clip_value >= 0, ">= 0");
  require_packed(parameters);
  for_gradients(parameters, [&](Tensor& gradients) {
    Stream stream(gradients.device());
    kernels::clip_by_value(clip_value, gradients, stream);
  });
}

}  // namespace gpucnn
