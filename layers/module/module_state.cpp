#include <string>

#include <gpucnn/core/state_entry.h>
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

IncompatibleKeys Module::load_state_dict(const StateDict& state, bool strict) {
  const StateDict own = state_dict();
  const ExclusiveCall alone(*root_, *this);
  IncompatibleKeys keys = incompatible_keys("load_state_dict", own, state);
  if (strict) require_same_names("load_state_dict", keys, own, state, /*has_strict=*/true);
  for (const auto& [name, tensor] : own) {
    if (const Tensor* given = state.find(name)) Tensor(tensor).copy_from(*given);
  }
  return keys;
}

}  // namespace gpucnn
