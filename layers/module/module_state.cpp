#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <gpucnn/core/state_entry.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/layers/module/module_root.h>
#include <gpucnn/layers/module/module_tree.h>

namespace gpucnn {
namespace {

/// The name relative to the module whose path is `path`.
std::string relative(const std::string& name, const std::string& path) {
  return path.empty() ? name : name.substr(path.size() + 1);
}

}  // namespace

StateDict Module::state_dict() {
  packed_root();
  StateDict state;
  for (auto& [name, tensor] : ModuleTree(*this, path_).state) state.add(relative(name, path_), tensor);
  return state;
}

void Module::load_state_dict(const StateDict& state, bool strict) {
  const StateDict own = state_dict();
  const ExclusiveCall alone(*root_, *this);
  std::vector<std::string> missing, unexpected;
  for (const auto& [name, tensor] : own) {
    const Tensor* given = state.find(name);
    if (!given) {
      missing.push_back(name);
    } else {
      require_same_kind("load_state_dict", name, tensor, *given);
    }
  }
  for (const auto& [name, tensor] : state) {
    if (!own.contains(name)) unexpected.push_back(name);
  }
  if (strict && !(missing.empty() && unexpected.empty())) {
    throw std::invalid_argument(fmt::format("load_state_dict: {}{}{}", missing.empty() ? "" : "missing " + list_names(missing),
                                            missing.empty() || unexpected.empty() ? "" : "; ",
                                            unexpected.empty() ? "" : "unexpected " + list_names(unexpected)));
  }
  for (const auto& [name, tensor] : own) {
    if (const Tensor* given = state.find(name)) Tensor(tensor).copy_from(*given);
  }
}

}  // namespace gpucnn
