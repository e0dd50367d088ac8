#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <utility>

#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// A module on its way into a container, moved in, with or without a name.
class Child {
 public:
  template <std::derived_from<Module> M>
  Child(M module) : module_(std::make_unique<M>(std::move(module))) {}  // NOLINT: implicit, for lists
  template <std::derived_from<Module> M>
  Child(std::string name, M module) : name_(std::move(name)), module_(std::make_unique<M>(std::move(module))) {}
  /// A module that is made at run time, as by a function that reads a description.
  Child(std::unique_ptr<Module> module) : module_(std::move(module)) {}  // NOLINT: implicit, for lists
  Child(std::string name, std::unique_ptr<Module> module) : name_(std::move(name)), module_(std::move(module)) {}

 private:
  friend class ChildList;
  std::string name_;
  mutable std::unique_ptr<Module> module_;  // moved out of an initializer_list, whose elements are const
};

}  // namespace gpucnn
