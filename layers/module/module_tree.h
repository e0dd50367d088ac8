#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// The modules of a tree, a parent before its children, with all that they report.
class ModuleTree final : private Members {
 public:
  std::vector<Module*> modules;
  std::vector<std::string> paths;     // of modules
  std::vector<Parameter> parameters;  // each once
  std::vector<std::string> names;     // of parameters
  std::vector<std::pair<std::string, Tensor*>> buffers;
  std::vector<std::pair<std::string, Tensor>> state;  // parameters and buffers in order, where they have values

  /// `path` is the root's. Throws `std::logic_error` if a part was moved from or is reported twice.
  ModuleTree(Module& root, const std::string& path);

 private:
  void operator()(std::string_view name, Parameter& parameter) override;
  void operator()(std::string_view name, Tensor& buffer) override;
  void operator()(std::string_view name, Module& child) override;
  std::string join(std::string_view name) const;
  void visit(Module& module, const std::string& path);

  std::string prefix_;
  std::set<const Module*> seen_modules_;
  std::set<Parameter> seen_parameters_;
};

/// Calls `on_module` for `root` and all inside it, a parent before its children, and `on_parameter` for their parameters. Allocates
/// nothing.
template <class OnModule, class OnParameter>
void for_tree(Module& root, const OnModule& on_module, const OnParameter& on_parameter) {
  struct Visit final : Members {
    const OnModule& on_module;
    const OnParameter& on_parameter;
    Visit(const OnModule& of_modules, const OnParameter& of_parameters) : on_module(of_modules), on_parameter(of_parameters) {}
    void operator()(std::string_view, Parameter& parameter) override {
      if (parameter.defined()) on_parameter(parameter);
    }
    void operator()(std::string_view, Tensor&) override {}
    void operator()(std::string_view, Module& child) override {
      on_module(child);
      child.members(*this);
    }
  };
  Visit visit(on_module, on_parameter);
  static_cast<Members&>(visit)({}, root);
}

}  // namespace gpucnn
