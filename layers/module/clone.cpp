#include <stdexcept>
#include <typeinfo>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/layers/module/module_root.h>
#include <gpucnn/layers/module/module_tree.h>

namespace gpucnn {

std::unique_ptr<Module> Module::copy() const {
  throw std::logic_error(formatted("{}: cannot be cloned: the class does not override copy", label()));
}

std::unique_ptr<Module> Module::copy_of(const Module& child) {
  refuse_moved_from(child);
  std::unique_ptr<Module> made = child.copy();
  if (made) {
    const Module& copy = *made;
    if (typeid(copy) == typeid(child)) return made;
  }
  throw std::logic_error(formatted("{}: cannot be cloned: copy makes {}; {} must override it", child.label(),
                                   made ? "a " + made->kind() : std::string("nothing"), child.kind()));
}

std::unique_ptr<Module> Module::clone() const {
  const Root& root = packed_root();
  std::unique_ptr<Module> made = copy_of(*this);
  const ModuleTree from(const_cast<Module&>(*this), {}), to(*made, {});
  if (from.paths != to.paths || from.names != to.names) {
    throw std::logic_error(formatted("{}: cannot be cloned: its copy has other layers or parameters", label()));
  }
  for (std::size_t i = 0; i < from.modules.size(); ++i) {
    to.modules[i]->training_ = from.modules[i]->training_;
    to.modules[i]->frozen_ = from.modules[i]->frozen_;
  }
  if (path_.empty()) made->input_grad_ = input_grad_;  // a part's is its container's choice
  for (std::size_t i = 0; i < from.parameters.size(); ++i) {
    Parameter parameter = to.parameters[i];
    parameter.set_init(from.parameters[i].init());
    parameter.set_value(from.parameters[i].value());
    parameter.requires_grad(from.parameters[i].requires_grad());
  }
  made->to(root.stream.device()).set_precision(root.precision);
  made->load_state_dict(const_cast<Module&>(*this).state_dict());
  made->root_->seed = root.seed;
  made->root_->random_step = root.random_step;
  return made;
}

}  // namespace gpucnn
