#include <gpucnn/core/state_dict.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {

void StateDict::require_free(const std::string& name) const {
  if (!positions_.contains(name) && !left_out_.contains(name)) return;
  throw std::invalid_argument(formatted("StateDict: there is already an entry '{}'", printable(name, kMaxNameBytes)));
}

void StateDict::add(std::string name, Tensor tensor) {
  require_free(name);
  const auto position = positions_.emplace(name, entries_.size()).first;
  try {
    entries_.emplace_back(std::move(name), std::move(tensor));
  } catch (...) {
    positions_.erase(position);
    throw;
  }
}

void StateDict::leave_out(std::string name, std::string why) {
  require_free(name);
  left_out_.emplace(std::move(name), std::move(why));
}

const Tensor& StateDict::at(std::string_view name) const {
  if (const Tensor* tensor = find(name)) return *tensor;
  const std::string shown = printable(name, kMaxNameBytes);
  const auto left_out = left_out_.find(name);
  if (left_out == left_out_.end()) throw std::invalid_argument(formatted("StateDict: there is no entry '{}'", shown));
  throw std::invalid_argument(formatted("StateDict: '{}' was left out: {}", shown, left_out->second));
}

const Tensor* StateDict::find(std::string_view name) const noexcept {
  const auto position = positions_.find(name);
  return position == positions_.end() ? nullptr : &entries_[position->second].second;
}

namespace {

/// The same tensors and what was left out, each under the name that `rename` makes of its own.
template <class Rename>
StateDict renamed(const StateDict& state, const Rename& rename) {
  StateDict result;
  for (const auto& [name, tensor] : state) result.add(rename(name), tensor);
  for (const auto& [name, why] : state.left_out()) result.leave_out(rename(name), why);
  return result;
}

}  // namespace

StateDict StateDict::without_prefix(std::string_view prefix) const {
  return renamed(*this, [prefix](const std::string& name) { return name.starts_with(prefix) ? name.substr(prefix.size()) : name; });
}

StateDict StateDict::with_prefix(std::string_view prefix) const {
  return renamed(*this, [prefix](const std::string& name) { return formatted("{}{}", prefix, name); });
}

}  // namespace gpucnn
