#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/near_name.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/layers/module/module_root.h>
#include <gpucnn/layers/module/module_tree.h>

namespace gpucnn {
namespace {

/// The modules inside one, by their names.
struct Children final : Members {
  std::vector<std::string> names;
  std::vector<Module*> modules;

  explicit Children(Module& module) { module.members(*this); }
  void operator()(std::string_view, Parameter&) override {}
  void operator()(std::string_view, Tensor&) override {}
  void operator()(std::string_view name, Module& child) override {
    names.emplace_back(name);
    modules.push_back(&child);
  }
};

/// What to say of a path of which `found` is there, "" for none, and leads to `children`.
std::string no_module(std::string_view path, std::string_view found, const Children& children) {
  const std::string_view rest = path.substr(found.empty() ? 0 : std::min(found.size() + 1, path.size()));
  const std::string_view wanted = rest.substr(0, rest.find('.'));
  std::string text = formatted("there is no module '{}'", printable(path, kMaxNameBytes));
  const std::string where = found.empty() ? std::string("the model") : printable(found, kMaxNameBytes);
  if (const std::string* near = near_name(wanted, children.names)) {
    const std::string_view dot = found.empty() ? "" : ".";
    return formatted("{}; did you mean '{}{}{}'?", text, printable(found, kMaxNameBytes), dot, printable(*near, kMaxNameBytes));
  }
  if (children.names.empty()) return formatted("{}; {} has none inside", text, where);
  return formatted("{}; {} has {}", text, where, list_names(children.names));
}

}  // namespace

Module& Module::part(std::string_view path) {
  refuse_moved_from(*this);
  // A tree of which parts were moved out is not whole, and its other parts can still be asked for.
  bool complete = true;
  for_tree(
      *this, [&](const Module& module) { complete = complete && !module.moved_from_; }, [](Parameter&) {});
  const Root* root = shown_.load(std::memory_order_acquire);
  if (complete || !root || !root->packed.load(std::memory_order_acquire)) packed_root();
  Module* module = this;
  std::size_t done = 0;  // bytes of the path behind which `module` stands, with the dot
  while (true) {
    const Children children(*module);
    const std::string_view rest = path.substr(done);
    const auto found = std::ranges::find_if(children.names, [&](const std::string& name) {
      return rest.starts_with(name) && (rest.size() == name.size() || rest[name.size()] == '.');
    });
    if (found == children.names.end()) {
      throw std::invalid_argument(
          formatted("{}::at: {}", kind(), no_module(path, path.substr(0, done == 0 ? 0 : done - 1), children)));
    }
    module = children.modules[static_cast<std::size_t>(found - children.names.begin())];
    done += found->size() + 1;
    if (done > path.size()) return *module;
  }
}

void Module::fail_at(const Module& found) const {
  throw std::invalid_argument(formatted("{}::at: {} is of another class", kind(), found.label()));
}

}  // namespace gpucnn
