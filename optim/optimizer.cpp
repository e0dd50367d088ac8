#include <gpucnn/optim/optimizer.h>

#include <algorithm>
#include <set>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <gpucnn/core/state_entry.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/optim/option_rules.h>

namespace gpucnn {

Optimizer::Optimizer(std::vector<ParameterGroup<Settings>> groups) {
  if (groups.size() > kMaxGroups) {
    throw std::invalid_argument(formatted("Optimizer: has {} groups of parameters, may have {}", groups.size(), kMaxGroups));
  }
  std::set<Parameter> seen;
  std::int64_t first = 0;
  for (std::size_t group = 0; group < groups.size(); ++group) {
    groups_.push_back(groups[group].options);
    set_lr(group, groups_.back().lr);
    for (Parameter& parameter : groups[group].parameters) {
      if (!seen.insert(parameter).second) {
        throw std::invalid_argument(formatted("Optimizer: parameter {} is given twice", parameter.name()));
      }
      const std::int64_t size = Arena::padded(parameter.numel());
      device_ = parameter.slot().values.device();
      items_.push_back({std::move(parameter), first, group});
      first += size;
    }
  }
  if (items_.empty()) throw std::invalid_argument("Optimizer: there are no parameters");
}

Optimizer::Optimizer(std::vector<Parameter> parameters, double lr)
    : Optimizer(std::vector<ParameterGroup<Settings>>{{std::move(parameters), {.lr = lr, .momentum = std::nullopt}}}) {}

Optimizer::~Optimizer() = default;
Optimizer::Optimizer(Optimizer&&) noexcept = default;

Optimizer& Optimizer::operator=(Optimizer&& other) noexcept {
  if (this == &other) return *this;
  items_ = std::move(other.items_);
  states_ = std::move(other.states_);
  steps_ = other.steps_;
  groups_ = std::move(other.groups_);
  initial_lrs_ = std::move(other.initial_lrs_);
  device_ = other.device_;
  return *this;
}

void Optimizer::refuse_moved_from() const {
  if (items_.empty()) throw std::logic_error("Optimizer: was moved from; use what it was moved to");
}

const Optimizer::Settings& Optimizer::settings(std::size_t group) const {
  if (group >= groups_.size()) {
    throw std::invalid_argument(formatted("Optimizer: there is no group {}, only {}", group, groups_.size()));
  }
  return groups_[group];
}

void Optimizer::set_lr(double lr) {
  for (std::size_t group = 0; group < groups_.size(); ++group) set_lr(group, lr);
}

void Optimizer::set_lr(std::size_t group, double lr) {
  settings(group);
  require_not_negative("lr", lr);
  groups_[group].lr = lr;
}

double Optimizer::momentum(std::size_t group) const {
  const std::optional<double> momentum = settings(group).momentum;
  if (!momentum) throw std::logic_error("Optimizer: has no momentum; make it with one to change it");
  return *momentum;
}

void Optimizer::set_momentum(std::size_t group, double momentum) {
  this->momentum(group);
  check_momentum(group, momentum);
  groups_[group].momentum = momentum;
}

void Optimizer::check_momentum(std::size_t, double momentum) const { require_not_negative("momentum", momentum); }

void Optimizer::zero_grad() {
  refuse_moved_from();
  for (Item& item : items_) item.parameter.zero_grad();
}

void Optimizer::add_state(std::string name, const std::function<bool(std::size_t group)>& has) {
  State state{std::move(name), {}, {}};
  std::int64_t size = 0;
  for (const Item& item : items_) {
    if (has && !has(item.group)) continue;
    std::optional<std::int64_t>& shift = state.shift[item.group];
    if (!shift) shift = size - item.first;
    size += Arena::padded(item.parameter.numel());
  }
  state.values = Tensor::zeros({size}, DType::f32, device_);
  states_.push_back(std::move(state));
}

Tensor Optimizer::state(std::size_t i, const Range& range) const {
  const std::optional<std::int64_t> shift = states_[i].shift[range.group];
  return shift ? states_[i].values.narrow(range.first + *shift, range.count) : Tensor{};
}

std::vector<Parameter> Optimizer::parameters() const {
  std::vector<Parameter> all;
  for (const Item& item : items_) all.push_back(item.parameter);
  return all;
}

void Optimizer::count_steps(std::int64_t count) noexcept {
  steps_ += count;
  for (Item& item : items_) {
    if (item.parameter.has_grad()) item.steps += count;
  }
}

void Optimizer::step() {
  refuse_moved_from();
  // Of a parameter with a gradient: one of a layer that was replaced stays where the model was then.
  const auto learned = std::ranges::find_if(items_, [](const Item& item) { return item.parameter.has_grad(); });
  if (const Device now = learned == items_.end() ? device_ : learned->parameter.slot().values.device(); now != device_) {
    for (State& state : states_) state.values = state.values.to(now);
    device_ = now;
  }
  Stream stream(device_);
  bool begun = false;
  for (std::size_t i = 0; i < items_.size();) {
    if (!items_[i].parameter.has_grad()) {
      ++i;
      continue;
    }
    const Parameter::Slot slot = items_[i].parameter.slot();
    const std::int64_t steps = items_[i].steps, first = items_[i].first;
    const std::size_t group = items_[i].group;
    std::int64_t count = 0;
    const auto continues = [&](const Item& item) {
      if (!item.parameter.has_grad() || item.steps != steps || item.group != group) return false;
      const Parameter::Slot next = item.parameter.slot();
      return next.values.bytes() == slot.values.bytes() && next.first == slot.first + count;
    };
    for (; i < items_.size() && continues(items_[i]); ++i) {
      count += Arena::padded(items_[i].parameter.numel());
      ++items_[i].steps;
    }
    const auto rest = std::span(items_).subspan(i);
    const bool is_whole = !begun && std::ranges::none_of(rest, [](const Item& item) { return item.parameter.has_grad(); });
    begun = true;
    update({slot.values.view(slot.first, {count}), slot.grads.view(slot.first, {count}), first, count, steps + 1, group, is_whole},
           stream);
  }
  ++steps_;
}

// ---- state -----------------------------------------------------------------------------------------------------------

/// The parameters' names. Parameters of several models may have one name: the later has its number in the list behind it.
std::vector<std::string> Optimizer::unique_names() const {
  std::vector<std::string> names;
  std::set<std::string_view> taken;
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const std::string& name = items_[i].parameter.name();
    names.push_back(taken.insert(name).second ? name : formatted("{}#{}", name, i));
  }
  return names;
}

/// `state_dict()`, but sharing memory with the optimizer.
StateDict Optimizer::shared_state() const {
  refuse_moved_from();
  const std::vector<std::string> names = unique_names();
  StateDict all;
  for (const State& state : states_) {
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const Item& item = items_[i];
      const std::optional<std::int64_t> shift = state.shift[item.group];
      if (shift) all.add(formatted("{}.{}", state.name, names[i]), state.values.view(item.first + *shift, item.parameter.shape()));
    }
  }
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const std::int64_t steps[] = {items_[i].steps};
    all.add("step." + names[i], Tensor::from(steps, {1}));
  }
  return all;
}

StateDict Optimizer::state_dict() const {
  StateDict copies;
  for (const auto& [name, tensor] : shared_state()) copies.add(name, tensor.clone());
  return copies;
}

void Optimizer::load_state_dict(const StateDict& state) {
  const StateDict own = shared_state();
  require_same_entries("Optimizer::load_state_dict", own, state);
  std::vector<std::int64_t> steps;
  for (const std::string& name : unique_names()) {
    steps.push_back(state.at("step." + name).to_vector<std::int64_t>().front());
    if (steps.back() < 0) throw std::invalid_argument("Optimizer::load_state_dict: a count of steps is negative");
  }
  for (const auto& [name, tensor] : own) Tensor(tensor).copy_from(state.at(name));
  for (std::size_t i = 0; i < items_.size(); ++i) items_[i].steps = steps[i];
  steps_ = std::ranges::max(steps);
}

}  // namespace gpucnn
