#include <gpucnn/layers/losses/loss.h>

#include <stdexcept>
#include <typeinfo>
#include <utility>

#include <gpucnn/core/text/class_name.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn {

Loss::Loss() = default;
Loss::~Loss() = default;
Loss::Loss(Loss&&) noexcept = default;
Loss& Loss::operator=(Loss&&) noexcept = default;

Tensor Loss::prepare(const Tensor&, const Tensor& targets) const { return targets; }

bool Loss::takes_unprepared(const Tensor&) const { return false; }

bool Loss::is_sum() const { return false; }

bool Loss::takes_probabilities(const Tensor&) const { return false; }

std::optional<std::int32_t> Loss::ignored_label() const { return {}; }

std::optional<double> Loss::weight_of(const Tensor&) const { return {}; }

Tensor Loss::operator()(const Tensor& input, const Tensor& targets) {
  dinput_ = {};
  return evaluate(input, prepare(input, targets));
}

Tensor Loss::evaluate(const Tensor& input, const Tensor& prepared) {
  dinput_ = {};
  if (!input.defined() || input.dtype() != DType::f32) {
    throw std::invalid_argument(formatted("{}: expects an f32 input, got {}", class_name(typeid(*this)),
                                          input.defined() ? name_of(input.dtype()) : std::string_view("an undefined tensor")));
  }
  Tensor dinput = Tensor::empty(input.shape(), DType::f32, input.device());
  Tensor loss = forward(input, prepared, dinput);
  dinput_ = std::move(dinput);
  return loss;
}

Tensor Loss::backward() {
  if (!dinput_.defined())
    throw std::logic_error(
        formatted("{}: backward without a loss before it; each loss serves one backward", class_name(typeid(*this))));
  return std::exchange(dinput_, Tensor{});
}

}  // namespace gpucnn
