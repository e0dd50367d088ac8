#include <gpucnn/layers/module/context.h>

#include <stdexcept>
#include <utility>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/copy/round_to_bf16.h>
#include <gpucnn/layers/module/module_root.h>

namespace gpucnn {

Context::Context(const Module& module, Call& call, Saved* saved, bool backward)
    : module_(module), call_(call), saved_(saved), backward_(backward) {}

Stream& Context::stream() const noexcept { return call_.root.stream; }

Precision Context::precision() const noexcept { return call_.root.precision; }

bool Context::training() const noexcept {
  if (call_.predicting) return false;
  return backward_ && saved_ ? saved_->training : module_.training();
}

bool Context::keeps() const noexcept { return !call_.predicting; }

bool Context::input_grad() const noexcept { return module_.input_grad_; }

void Context::save_one(const Tensor& tensor) {
  if (saved_ && !backward_) saved_->tensors.push_back(tensor);
}

const Context::Saved& Context::forward_state() const {
  if (saved_ && backward_) return *saved_;
  throw std::logic_error(formatted("{}: asks for what its forward kept, but no backward is under way", module_.label()));
}

const Tensor& Context::saved(std::size_t i) const {
  const std::vector<Tensor>& tensors = forward_state().tensors;
  if (i >= tensors.size()) {
    throw std::logic_error(formatted("{}: asks for saved tensor {} of {}", module_.label(), i, tensors.size()));
  }
  return tensors[i];
}

const Shape& Context::x_shape() const { return forward_state().x; }

const Shape& Context::y_shape() const { return forward_state().y; }

RandomStream Context::random(Purpose purpose) const {
  if (!backward_ && !call_.predicting) call_.counts = true;  // or a layer that draws in eval mode would draw the same again
  return {call_.root.seed, purpose, module_.index_.load(std::memory_order_relaxed), call_.random_step};
}

RandomStream Context::random(Purpose purpose, const Shape& x) const {
  std::int64_t elements = 1;
  for (int i = 1; i < x.rank(); ++i) elements *= x[i];
  return random(purpose).without_first(static_cast<std::uint64_t>(call_.images_before * elements));
}

bool Context::counts() const noexcept { return call_.is_part; }

Tensor Context::operand(const Parameter& parameter) const {
  if (call_.root.precision != Precision::bf16) return parameter.value();
  const Parameter::Slot slot = parameter.slot();
  if (slot.values.bytes() != std::as_const(call_.root.values).bytes()) {
    throw std::logic_error(
        formatted("{}: parameter {} lies in the memory of another model now", module_.label(), parameter.name()));
  }
  if (!call_.predicting) call_.root.refresh_operands(backward_ ? call_.forward : call_.number);
  const Tensor& operands = call_.predicting ? call_.operands : call_.root.operands;
  return operands.view(slot.first, parameter.shape());
}

Tensor Context::operand(const Tensor& x) const {
  return rounds_factors(call_.root.precision, call_.root.stream.device()) ? kernels::cpu::rounded_to_bf16(x) : x;
}

bool Context::leads() const noexcept { return &module_ == call_.leader; }

StepEnds* Context::ends() const noexcept { return leads() ? call_.ends : nullptr; }

bool Context::tells_gradients() const noexcept { return leads() && call_.gradients_from; }

void Context::tell_gradients(std::int64_t first) const {
  if (tells_gradients()) (*call_.gradients_from)(first);
}

Context Context::enter(const Module& inner) {
  inner.require_part_of(call_);
  if (!backward_) inner.note_use(call_);
  return {inner, call_, nullptr, backward_};
}

}  // namespace gpucnn
