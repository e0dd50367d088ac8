#include <gpucnn/optim/optimizer.h>

#include <set>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <gpucnn/kernels/common/check.h>

namespace gpucnn {

Optimizer::Optimizer(std::vector<Parameter> parameters, double lr) {
  if (parameters.empty()) throw std::invalid_argument("Optimizer: there are no parameters");
  set_lr(lr);
  std::set<Parameter> seen;
  std::int64_t first = 0;
  for (Parameter& parameter : parameters) {
    if (!seen.insert(parameter).second) {
      throw std::invalid_argument(fmt::format("Optimizer: parameter {} is given twice", parameter.name()));
    }
    const std::int64_t size = Arena::padded(parameter.numel());
    device_ = parameter.slot().values.device();
    items_.push_back({std::move(parameter), first});
    first += size;
  }
}

Optimizer::~Optimizer() = default;
Optimizer::Optimizer(Optimizer&&) noexcept = default;

Optimizer& Optimizer::operator=(Optimizer&& other) noexcept {
  if (this == &other) return *this;
  items_ = std::move(other.items_);
  updates_ = other.updates_;
  lr_ = other.lr_;
  device_ = other.device_;
  return *this;
}

void Optimizer::require(bool holds, const char* option, double value) {
  if (!holds) throw std::invalid_argument(fmt::format("Optimizer: invalid {}: {}", option, value));
}

void Optimizer::refuse_moved_from() const {
  if (items_.empty()) throw std::logic_error("Optimizer: was moved from; use what it was moved to");
}

void Optimizer::set_lr(double lr) {
  require(kernels::finite_in_f32(lr) && lr >= 0.0, "lr", lr);
  lr_ = lr;
}

void Optimizer::zero_grad() {
  refuse_moved_from();
  for (Item& item : items_) item.parameter.zero_grad();
}

Tensor Optimizer::make_state() const {
  const Item& last = items_.back();
  return Tensor::zeros({last.first + Arena::padded(last.parameter.numel())}, DType::f32, device_);
}

void Optimizer::count_updates(std::int64_t count) noexcept {
  updates_ += count;
  for (Item& item : items_) {
    if (item.parameter.has_grad()) item.steps += count;
  }
}

void Optimizer::step() {
  refuse_moved_from();
  ++updates_;
  if (const Device now = items_.front().parameter.slot().values.device(); now != device_) move_state(device_ = now);
  Stream stream(device_);
  for (std::size_t i = 0; i < items_.size();) {
    if (!items_[i].parameter.has_grad()) {
      ++i;
      continue;
    }
    const Parameter::Slot slot = items_[i].parameter.slot();
    const std::int64_t steps = items_[i].steps, first = items_[i].first;
    std::int64_t count = 0;
    const auto continues = [&](const Item& item) {
      if (!item.parameter.has_grad() || item.steps != steps) return false;
      const Parameter::Slot next = item.parameter.slot();
      return next.values.bytes() == slot.values.bytes() && next.first == slot.first + count;
    };
    for (; i < items_.size() && continues(items_[i]); ++i) {
      count += Arena::padded(items_[i].parameter.numel());
      ++items_[i].steps;
    }
    update({slot.values.view(slot.first, {count}), slot.grads.view(slot.first, {count}), first, count, steps + 1}, stream);
  }
}

}  // namespace gpucnn
