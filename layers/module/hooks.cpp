#include <gpucnn/layers/module/hooks.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/layers/module/module_root.h>
#include <gpucnn/layers/module/module_tree.h>

namespace gpucnn {

int Module::register_forward_hook(Hook hook) { return add_hook(std::move(hook), false); }

int Module::register_full_backward_hook(Hook hook) { return add_hook(std::move(hook), true); }

int Module::add_hook(Hook hook, bool backward) {
  const ExclusiveCall alone(named_root(), *this);
  if (!hook) throw std::invalid_argument(formatted("{}: a hook must be callable, got an empty function", label()));
  if (!hooks_) hooks_ = std::make_unique<Hooks>();
  const int number = ++Hooks::last_number;
  hooks_->entries.push_back({number, backward, std::move(hook)});
  return number;
}

void Module::remove_hook(int number) {
  const ExclusiveCall alone(named_root(), *this);
  if (!hooks_ || std::erase_if(hooks_->entries, [&](const Hooks::Entry& entry) { return entry.number == number; }) == 0) {
    throw std::invalid_argument(formatted("{}: has no hook number {}", label(), number));
  }
  if (hooks_->entries.empty()) hooks_.reset();
}

bool Module::has_hooks() const {
  if (Hooks::modules.load(std::memory_order_relaxed) == 0) return false;
  bool found = false;
  for_tree(
      const_cast<Module&>(*this), [&](const Module& module) { found = found || module.hooks_; }, [](Parameter&) {});
  return found;
}

void Module::run_hooks(const Tensor& of_x, const Tensor& of_y, bool backward) const {
  for (const Hooks::Entry& entry : hooks_->entries) {
    if (entry.backward == backward) entry.call(*this, of_x, of_y);
  }
}

}  // namespace gpucnn
