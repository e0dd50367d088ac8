#include <gpucnn/layers/module/module.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <typeinfo>
#include <utility>

#include <gpucnn/core/text/class_name.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/layers/module/hooks.h>
#include <gpucnn/layers/module/module_root.h>
#include <gpucnn/layers/module/module_tree.h>

namespace gpucnn {
namespace {

/// How many modules were made and moved. While it stands still, every tree is as it was.
std::atomic<std::uint64_t> modules_moved{1};

/// While one lives, this thread makes roots and no other does: threads may meet at the first call of a model.
class TreeLock {
 public:
  TreeLock() {
    if (std::exchange(held, true))
      throw std::logic_error("Module: used while its tree is made; members and placed must not use it");
    mutex().lock();
  }
  ~TreeLock() {
    mutex().unlock();
    held = false;
  }
  TreeLock(const TreeLock&) = delete;
  TreeLock& operator=(const TreeLock&) = delete;

 private:
  static std::mutex& mutex() {
    static std::mutex& mutex = *new std::mutex;
    return mutex;
  }
  static thread_local bool held;
};
thread_local bool TreeLock::held = false;

/// Guards paths. A message may name a module while another thread's first call takes it into a larger model.
std::mutex& path_mutex() {
  static std::mutex& mutex = *new std::mutex;
  return mutex;
}

/// Numbers for Root::generation.
std::uint64_t next_generation() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

/// Memory for copies of all parameters as that precision multiplies them; undefined where these are the parameters themselves.
Tensor memory_for_operands(Precision precision, std::int64_t elements, Device device) {
  if (precision != Precision::bf16 || elements == 0) return {};
  return Tensor::empty({elements}, activation_dtype(precision, device), device);
}

/// A shape error that already names its layer.
class LabelledError final : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

}  // namespace

Module::Root::Root(const Root& before)
    : stream(before.stream.device()),
      seed(before.seed),
      random_step(before.random_step),
      precision(before.precision),
      calls(before.calls.load()) {}

Module::Module() { modules_moved.fetch_add(1, std::memory_order_acq_rel); }
Module::~Module() = default;

Module::Module(Module&& other) noexcept { *this = std::move(other); }

Module& Module::operator=(Module&& other) noexcept {
  if (this == &other) return *this;
  root_ = std::move(other.root_);
  shown_.store(other.shown_.exchange(nullptr));
  path_ = std::move(other.path_);
  index_.store(other.index_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  training_ = other.training_;
  frozen_ = other.frozen_;
  spread_ = 0;
  input_grad_ = other.input_grad_;
  verified_.store(0);
  last_call_ = other.last_call_;
  saved_ = std::move(other.saved_);
  hooks_ = std::move(other.hooks_);
  moved_from_ = std::exchange(other.moved_from_, true);
  modules_moved.fetch_add(1, std::memory_order_acq_rel);
  return *this;
}

void Module::refuse_moved_from(const Module& module) {
  if (module.moved_from_) throw std::logic_error(formatted("{}: was moved from; use what it was moved to", module.kind()));
}

void Module::members(Members&) {}

void Module::placed(Device) {}

bool Module::child_input_grad(std::size_t) const { return true; }

int Module::add_to(GraphBuilder&, int) const {
  throw std::logic_error(formatted("{}: cannot be exported: {} does not override add_to", label(), kind()));
}

Shape Module::shape_of(const Module& child, const Shape& x, const std::string& hint) {
  try {
    return child.output_shape(x);
  } catch (const LabelledError&) {
    throw;
  } catch (const std::invalid_argument& error) {
    throw LabelledError(formatted("{}: {}{}", child.label(), error.what(), hint));
  }
}

// ---- the tree --------------------------------------------------------------------------------------------------------

/// The root of a tree that has names. Draws nothing, since a shape that does not fit is to be refused before that work.
Module::Root& Module::named_root() const {
  refuse_moved_from(*this);
  const std::uint64_t moved = modules_moved.load(std::memory_order_acquire);
  Root* root = shown_.load(std::memory_order_acquire);
  if (root && verified_.load(std::memory_order_acquire) == moved) return *root;
  Module& self = const_cast<Module&>(*this);  // a name is no change that a caller sees
  if (root && self.is_whole(*root)) {
    verified_.store(moved, std::memory_order_release);
    return *root;
  }
  const TreeLock lock;
  root = shown_.load(std::memory_order_acquire);
  if (!root) {
    self.name_tree(std::make_shared<Root>(Device::cpu(), 0));
  } else if (!self.is_whole(*root)) {
    self.name_tree(std::make_shared<Root>(*root_));
  }
  verified_.store(moved, std::memory_order_release);
  return *root_;
}

/// The root of a tree whose parameters have values and lie in the root's memory.
Module::Root& Module::packed_root() const {
  Root& root = named_root();
  if (root.packed.load(std::memory_order_acquire)) return root;
  const TreeLock lock;
  Module& self = const_cast<Module&>(*this);
  if (root_->packed.load(std::memory_order_acquire)) return *root_;
  if (!path_.empty()) {  // used before the tree that named it: a root of its own until that one is used
    self.path_.clear();
    self.name_tree(std::make_shared<Root>(*root_));
  }
  self.pack(root_->stream.device());
  return *root_;
}

/// Whether all modules inside this one are those that `root` named, in the same order.
bool Module::is_whole(const Root& root) {
  std::size_t count = 0;
  bool whole = true;
  for_tree(
      *this,
      [&](const Module& module) {
        whole = whole && !module.moved_from_ && module.shown_.load(std::memory_order_relaxed) == &root &&
                module.index_.load(std::memory_order_relaxed) == index_.load(std::memory_order_relaxed) + count;
        ++count;
      },
      [](Parameter&) {});
  return whole && (!path_.empty() || count == root.modules);
}

/// Of each root that modules of a tree have: how many have it.
std::vector<std::pair<Module::Root*, std::size_t>> Module::roots_of(const std::vector<Module*>& modules) {
  std::vector<std::pair<Root*, std::size_t>> roots;
  for (const Module* module : modules) {
    Root* root = module->shown_.load(std::memory_order_relaxed);
    const auto known = std::ranges::find(roots, root, &std::pair<Root*, std::size_t>::first);
    if (known != roots.end()) {
      ++known->second;
    } else if (root) {
      roots.emplace_back(root, 1);
    }
  }
  return roots;
}

void Module::name_tree(const std::shared_ptr<Root>& root) {
  const ModuleTree tree(*this, path_);
  auto left = roots_of(tree.modules);
  std::erase_if(left, [&](const auto& each) { return each.first == root.get(); });
  std::vector<std::shared_ptr<Root>> owners;  // keeps them until the end
  for (const Module* module : tree.modules) owners.push_back(module->root_);
  // A part may be at work as a model of its own, in another thread.
  std::vector<Root*> taken;
  for (const auto& [other, modules] : left) {
    if (other->busy.load() < 0 && other->busy_thread.load() == std::this_thread::get_id()) continue;  // this call's own
    for (int idle = 0; !other->busy.compare_exchange_weak(idle, -1, std::memory_order_acquire); idle = 0) std::this_thread::yield();
    taken.push_back(other);
  }
  root->modules = tree.modules.size();
  root->generation = next_generation();
  for (std::size_t i = 0; i < tree.modules.size(); ++i) {
    Module& module = *tree.modules[i];
    module.root_ = root;
    {
      const std::scoped_lock naming(path_mutex());
      module.path_ = tree.paths[i];
    }
    module.index_.store(static_cast<std::uint32_t>(i), std::memory_order_relaxed);
    module.last_call_ = 0;
    module.shown_.store(root.get(), std::memory_order_release);
  }
  spread_input_grad();
  if (!path_.empty()) modules_moved.fetch_add(1, std::memory_order_acq_rel);  // it has left another tree
  for (const auto& [other, modules] : left) {
    if (modules == other->modules) retire(*other, owners);
  }
  for (Root* other : taken) other->busy.store(0, std::memory_order_release);
}

/// Keeps a root that no module has any longer, without its tensors: a thread that found it before may still look at it.
void Module::retire(Root& root, const std::vector<std::shared_ptr<Root>>& owners) {
  static auto& retired = *new std::vector<std::shared_ptr<Root>>;  // guarded by TreeLock; some hundred bytes each
  retired.push_back(*std::ranges::find(owners, &root, &std::shared_ptr<Root>::get));
  root.values = root.operands = {};
  root.retired.store(true, std::memory_order_release);
}

/// Gives all parameters values in the root's memory on `device`, and moves the buffers there.
void Module::pack(Device device) {
  const std::shared_ptr<Root> root = root_;
  if (!is_whole(*root)) name_tree(root);
  const ModuleTree tree(*this, path_);
  // What may find no room comes first: nothing has changed when it throws.
  std::vector<Tensor> moved;
  for (const auto& [name, buffer] : tree.buffers) moved.push_back(buffer->to(device));
  std::int64_t elements = 0;
  for (const Parameter& parameter : tree.parameters) elements += Arena::padded(parameter.numel());
  Tensor operands = memory_for_operands(root->precision, elements, device);
  Stream stream(device);
  Arena::pack(tree.parameters, tree.names, root->seed, device);
  root->values = tree.parameters.empty() ? Tensor{} : tree.parameters.front().slot().values;
  root->operands = std::move(operands);
  root->rounded.forget();
  for (std::size_t i = 0; i < moved.size(); ++i) *tree.buffers[i].second = moved[i];
  if (device != root->stream.device()) root->stream = std::move(stream);
  root->generation = next_generation();
  for (Module* module : tree.modules) module->placed(device);
  root->packed.store(true, std::memory_order_release);
}

void Module::spread_input_grad() {
  struct Children final : Members {
    std::vector<Module*> found;
    void operator()(std::string_view, Parameter&) override {}
    void operator()(std::string_view, Tensor&) override {}
    void operator()(std::string_view, Module& child) override { found.push_back(&child); }
  } children;
  spread_ = Parameter::freezes();
  members(children);
  for (std::size_t i = 0; i < children.found.size(); ++i) {
    children.found[i]->input_grad_ = child_input_grad(i);
    children.found[i]->spread_input_grad();
  }
}

// ---- what is told to the whole tree ----------------------------------------------------------------------------------

Module& Module::set_input_grad(bool on) {
  refuse_moved_from(*this);
  input_grad_ = on;
  spread_input_grad();
  return *this;
}

Module& Module::train(bool on) {
  refuse_moved_from(*this);
  for_tree(
      *this, [on](Module& module) { module.training_ = on; }, [](Parameter&) {});
  return *this;
}

Module& Module::init(std::uint64_t seed) {
  Root& root = packed_root();
  const ExclusiveCall alone(root, *this);
  Arena::draw(parameters(), seed);
  if (path_.empty()) {
    root.seed = seed;
    root.random_step = 0;
  }
  return *this;
}

std::uint64_t Module::random_seed() { return packed_root().seed; }

std::uint64_t Module::random_step() { return packed_root().random_step; }

void Module::set_random_step(std::uint64_t step) { packed_root().random_step = step; }

Module& Module::to(Device device) {
  Root& before = packed_root();
  if (device == before.stream.device()) return *this;
  const ExclusiveCall alone(before, *this);
  require_precision(before.precision, device);
  const TreeLock lock;
  if (!path_.empty()) name_tree(std::make_shared<Root>(*root_));
  pack(device);
  return *this;
}

Module& Module::set_precision(Precision precision) {
  Root& root = packed_root();
  const ExclusiveCall alone(root, *this);
  require_precision(precision, root.stream.device());
  root.operands = memory_for_operands(precision, root.values.defined() ? root.values.numel() : 0, root.stream.device());
  root.rounded.forget();
  root.precision = precision;
  root.generation = next_generation();
  return *this;
}

Precision Module::precision() const noexcept { return root_ ? root_->precision : Precision::fp32; }

Module::ParameterMemory Module::parameter_memory() {
  const Root& root = packed_root();
  return {root.values, root.operands};
}

Device Module::device() { return packed_root().stream.device(); }

std::vector<Parameter> Module::parameters() {
  packed_root();
  return ModuleTree(*this, path_).parameters;
}

std::vector<Tensor> Module::buffers() {
  packed_root();
  std::vector<Tensor> all;
  for (const auto& [name, buffer] : ModuleTree(*this, path_).buffers) all.push_back(*buffer);
  return all;
}

void Module::zero_grad() {
  refuse_moved_from(*this);
  for_tree(
      *this, [](const Module& module) { refuse_moved_from(module); }, [](Parameter& parameter) { parameter.zero_grad(); });
}

Module& Module::requires_grad(bool on) {
  refuse_moved_from(*this);
  for_tree(
      *this, [](const Module& module) { refuse_moved_from(module); }, [on](Parameter& parameter) { parameter.requires_grad(on); });
  return *this;
}

Module& Module::freeze(bool on) {
  requires_grad(!on);
  for_tree(
      *this, [on](Module& module) { module.frozen_ = on; }, [](Parameter&) {});
  return *this;
}

bool Module::learns(const Module& module) {
  bool found = false;
  for_tree(
      const_cast<Module&>(module), [](const Module&) {},  // members changes nothing
      [&](const Parameter& parameter) { found = found || parameter.requires_grad(); });
  return found;
}

// ---- names -----------------------------------------------------------------------------------------------------------

std::string Module::kind() const { return class_name(typeid(*this)); }

std::string Module::label() const {
  const std::scoped_lock lock(path_mutex());
  return path_.empty() ? kind() : formatted("{} {}", printable(path_, kMaxNameBytes), kind());
}

}  // namespace gpucnn
