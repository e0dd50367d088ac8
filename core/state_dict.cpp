#include <gpucnn/core/state_dict.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {

void StateDict::add(std::string name, Tensor tensor) {
  const auto [position, is_new] = positions_.try_emplace(name, entries_.size());
  if (!is_new) {
    throw std::invalid_argument(formatted("StateDict: there is already an entry '{}'", printable(name, kMaxNameBytes)));
  }
  try {
    entries_.emplace_back(std::move(name), std::move(tensor));
  } catch (...) {
    positions_.erase(position);
    throw;
  }
}

const Tensor& StateDict::at(std::string_view name) const {
  if (const Tensor* tensor = find(name)) return *tensor;
  throw std::invalid_argument(formatted("StateDict: there is no entry '{}'", printable(name, kMaxNameBytes)));
}

const Tensor* StateDict::find(std::string_view name) const noexcept {
  const auto position = positions_.find(name);
  return position == positions_.end() ? nullptr : &entries_[position->second].second;
}

StateDict StateDict::without_prefix(std::string_view prefix) const {
  StateDict state;
  for (const auto& [name, tensor] : entries_) state.add(name.starts_with(prefix) ? name.substr(prefix.size()) : name, tensor);
  return state;
}

StateDict StateDict::with_prefix(std::string_view prefix) const {
  StateDict state;
  for (const auto& [name, tensor] : entries_) state.add(formatted("{}{}", prefix, name), tensor);
  return state;
}

}  // namespace gpucnn
