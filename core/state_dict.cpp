#include <gpucnn/core/state_dict.h>

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

namespace gpucnn {

void StateDict::add(std::string name, Tensor tensor) {
  if (contains(name)) throw std::invalid_argument(fmt::format("StateDict: there is already an entry '{}'", name));
  entries_.emplace_back(std::move(name), std::move(tensor));
}

const Tensor& StateDict::at(std::string_view name) const {
  if (const Tensor* tensor = find(name)) return *tensor;
  throw std::invalid_argument(fmt::format("StateDict: there is no entry '{}'", name));
}

const Tensor* StateDict::find(std::string_view name) const noexcept {
  const auto entry = std::ranges::find(entries_, name, &Entry::first);
  return entry == entries_.end() ? nullptr : &entry->second;
}

}  // namespace gpucnn
