#include <gpucnn/layers/module/module_tree.h>

#include <stdexcept>
#include <utility>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {

ModuleTree::ModuleTree(Module& root, const std::string& path) { visit(root, path); }

std::string ModuleTree::join(std::string_view name) const {
  return prefix_.empty() ? std::string(name) : formatted("{}.{}", prefix_, name);
}

void ModuleTree::visit(Module& module, const std::string& path) {
  Module::refuse_moved_from(module);
  if (!seen_modules_.insert(&module).second) {
    throw std::logic_error(formatted("{}: is reported twice by members, as {}", module.kind(), path));
  }
  modules.push_back(&module);
  paths.push_back(path);
  const std::string outer = std::exchange(prefix_, path);
  module.members(*this);
  prefix_ = outer;
}

void ModuleTree::operator()(std::string_view name, Parameter& parameter) {
  if (!parameter.defined()) return;
  if (parameter.has_value()) state.emplace_back(join(name), parameter.value());
  if (!seen_parameters_.insert(parameter).second) return;
  parameters.push_back(parameter);
  names.push_back(join(name));
}

void ModuleTree::operator()(std::string_view name, Tensor& buffer) {
  if (!buffer.defined()) return;
  state.emplace_back(join(name), buffer);
  buffers.emplace_back(join(name), &buffer);
}

void ModuleTree::operator()(std::string_view name, Module& child) { visit(child, join(name)); }

}  // namespace gpucnn
