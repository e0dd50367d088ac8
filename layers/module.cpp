#include <gpucnn/layers/module.h>

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <typeinfo>
#include <utility>

#include <fmt/format.h>

#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/kernels/copy/cast.h>

namespace gpucnn {

/// What the modules of a tree share.
struct Module::Root {
  Stream stream;
  std::uint64_t seed;
  std::uint64_t calls = 0;              // outermost calls, so that a second use within one shows
  std::uint64_t training_forwards = 0;  // outermost calls in training, or in which a module was: the step of dropout's stream
  int depth = 0;                        // of calls under way
  bool predicting = false;
  bool training = false;  // whether the outermost call under way counts
  Precision precision = Precision::fp32;
  bool packed = false;   // whether the parameters have values; before, the tree only has names
  Tensor values = {};    // of all parameters: the arena; undefined without any
  Tensor operands = {};  // the same in bf16, if that is the precision

  /// What a root on `device` takes over, with values to come.
  Root packed_on(Device device) const {
    return {.stream = Stream(device),
            .seed = seed,
            .calls = calls,
            .training_forwards = training_forwards,
            .precision = precision,
            .packed = true};
  }
};

/// A call under way: counts the outermost one, and undoes what it set however the call ends.
class Module::Call {
 public:
  Call(Module& module, bool predict) : root_(*module.root_), predicting_(root_.predicting) {
    if (root_.depth++ == 0) ++root_.calls;
    root_.predicting = root_.predicting || predict;
    if (root_.depth == 1) root_.training = module.training();
  }
  ~Call() {
    root_.predicting = predicting_;
    // A forward that failed draws again what it drew.
    if (--root_.depth == 0 && root_.training && std::uncaught_exceptions() == exceptions_) ++root_.training_forwards;
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  Root& root_;
  bool predicting_;
  int exceptions_ = std::uncaught_exceptions();
};

/// Visits a tree in order, a parent before its children.
class Module::Walk final : public Members {
 public:
  std::vector<Module*> modules;
  std::vector<std::string> paths;  // of modules
  std::vector<Parameter> parameters;
  std::vector<std::string> names;  // of parameters
  std::vector<std::pair<std::string, Tensor*>> buffers;
  std::vector<std::pair<std::string, Tensor>> state;  // parameters and buffers in order, where they have values

  explicit Walk(Module& root) { visit(root, root.path_); }

  /// The same, of a tree that is used: throws `std::logic_error` if a part of it was moved from.
  static Walk whole(Module& root) {
    Walk walk(root);
    for (const Module* module : walk.modules) refuse_moved_from(*module);
    return walk;
  }

  void operator()(std::string_view name, Parameter& parameter) override {
    if (!parameter.defined()) return;
    if (parameter.has_value()) state.emplace_back(join(name), parameter.value());
    if (std::ranges::find(parameters, parameter) != parameters.end()) return;
    parameters.push_back(parameter);
    names.push_back(join(name));
  }
  void operator()(std::string_view name, Tensor& buffer) override {
    if (!buffer.defined()) return;
    state.emplace_back(join(name), buffer);
    buffers.emplace_back(join(name), &buffer);
  }
  void operator()(std::string_view name, Module& child) override { visit(child, join(name)); }

 private:
  std::string join(std::string_view name) const {
    return prefix_.empty() ? std::string(name) : fmt::format("{}.{}", prefix_, name);
  }

  void visit(Module& module, const std::string& path) {
    modules.push_back(&module);
    paths.push_back(path);
    const std::string outer = std::exchange(prefix_, path);
    module.members(*this);
    prefix_ = outer;
  }

  std::string prefix_;
};

namespace {

/// A shape error that already names its layer.
class LabelledError final : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

}  // namespace

Module::Module() = default;
Module::~Module() = default;

Module::Module(Module&& other) noexcept
    : root_(std::move(other.root_)),
      path_(std::move(other.path_)),
      index_(other.index_),
      last_call_(other.last_call_),
      training_(other.training_),
      input_grad_(other.input_grad_),
      moved_from_(std::exchange(other.moved_from_, true)) {}

Module& Module::operator=(Module&& other) noexcept {
  if (this == &other) return *this;
  root_ = std::move(other.root_);
  path_ = std::move(other.path_);
  index_ = other.index_;
  last_call_ = other.last_call_;
  training_ = other.training_;
  input_grad_ = other.input_grad_;
  moved_from_ = std::exchange(other.moved_from_, true);
  return *this;
}

void Module::refuse_moved_from(const Module& module) {
  if (module.moved_from_) throw std::logic_error(fmt::format("{}: was moved from; use what it was moved to", module.kind()));
}

void Module::members(Members&) {}

bool Module::training() const noexcept { return training_ && !(root_ && root_->predicting); }

bool Module::keeps() const noexcept { return !(root_ && root_->predicting); }

// ---- calls ---------------------------------------------------------------------------------------------------------

Tensor Module::operator()(const Tensor& x) {
  find_root();
  if (root_->depth == 0) check_input(x);
  shape_of(*this, x.shape());
  prepare();
  const Call call(*this, false);
  note_use();
  return run(x);
}

/// In every forward; throws in the second of one call whose backward would need both.
void Module::note_use() {
  if (keeps() && std::exchange(last_call_, root_->calls) == root_->calls) {
    throw std::logic_error(fmt::format("{}: used twice in one forward; a backward needs an instance for each use", label()));
  }
}

Tensor Module::predict(const Tensor& x) {
  find_root();
  check_input(x);
  shape_of(*this, x.shape());
  prepare();
  const Call call(*this, true);
  return run(x);
}

/// Forward, between f32 outside the outermost call and the precision's dtype inside.
Tensor Module::run(const Tensor& x) {
  if (root_->depth > 1 || root_->precision != Precision::bf16) return forward(x);
  cast_operands();
  return as(DType::f32, forward(as(DType::bf16, x)));
}

Tensor Module::as(DType dtype, const Tensor& x) {
  if (!x.defined() || x.dtype() == dtype) return x;
  Tensor y = Tensor::empty(x.shape(), dtype, x.device());
  kernels::cast(x, y, stream());
  return y;
}

/// In every call: parameters may have been written to by whoever holds them.
void Module::cast_operands() {
  const Tensor& values = root_->values;
  if (!values.defined()) return;
  if (!root_->operands.defined()) root_->operands = Tensor::empty(values.shape(), DType::bf16, values.device());
  kernels::cast(values, root_->operands, stream());
}

Tensor Module::operand(const Parameter& parameter) const {
  if (precision() != Precision::bf16) return parameter.value();
  return root_->operands.view(parameter.slot().first, parameter.shape());
}

void Module::check_input(const Tensor& x) const {
  if (!x.defined()) throw std::invalid_argument(fmt::format("{}: the input is undefined", label()));
  if (x.dtype() != DType::f32) {
    throw std::invalid_argument(fmt::format("{}: expects an f32 input, got {}", label(), name_of(x.dtype())));
  }
  if (x.device() != root_->stream.device()) {
    throw std::invalid_argument(
        fmt::format("{}: the input is on {}, the model on {}", label(), x.device().string(), root_->stream.device().string()));
  }
}

Shape Module::shape_of(const Module& child, const Shape& x, const std::string& hint) {
  try {
    return child.output_shape(x);
  } catch (const LabelledError&) {
    throw;
  } catch (const std::invalid_argument& error) {
    throw LabelledError(fmt::format("{}: {}{}", child.label(), error.what(), hint));
  }
}

const Tensor& Module::kept(const Tensor& slot) const {
  if (!slot.defined()) fail_backward();
  return slot;
}

void Module::fail_backward() const {
  throw std::logic_error(fmt::format("{}: backward without a forward before it; each forward serves one backward", label()));
}

Tensor Module::consume(Tensor& slot) const {
  kept(slot);
  return std::exchange(slot, Tensor{});
}

Tensor Module::check_gradient(const Tensor& dy, const Shape& y) {
  const DType inside = activation_dtype(precision());
  if (!dy.defined() || (dy.dtype() != DType::f32 && dy.dtype() != inside) || dy.shape() != y) {
    throw std::invalid_argument(fmt::format(
        "{}: backward expects an f32 gradient of {}, got {}", label(), y.string(),
        dy.defined() ? fmt::format("{} {}", name_of(dy.dtype()), dy.shape().string()) : std::string("an undefined tensor")));
  }
  return as(inside, dy);
}

Tensor Module::returned(Tensor dx) { return path_.empty() ? as(DType::f32, dx) : std::move(dx); }

Stream& Module::stream() {
  if (!root_) throw std::logic_error(fmt::format("{}: has no stream before its first use", label()));
  return root_->stream;
}

RandomStream Module::random(Purpose purpose) const {
  if (!root_) return {0, purpose};
  root_->training = true;  // a layer that draws in a network in eval mode must not draw the same in the next forward
  return {root_->seed, purpose, index_, root_->training_forwards};
}

// ---- the tree ------------------------------------------------------------------------------------------------------

/// Gives the tree its names. Draws nothing, since a shape that does not fit is to be refused before that work.
void Module::find_root() {
  refuse_moved_from(*this);
  if (!root_) make_root({.stream = Stream(Device::cpu()), .seed = 0});
}

void Module::prepare() {
  find_root();
  if (root_->packed) return;
  path_.clear();  // used before the tree that named it: a root of its own until that one is used
  make_root(root_->packed_on(root_->stream.device()));
}

void Module::make_root(Root made) {
  auto root = std::make_shared<Root>(std::move(made));
  const Device device = root->stream.device();
  const Walk walk = Walk::whole(*this);
  if (root->packed) {
    Arena::pack(walk.parameters, walk.names, root->seed, device);
    root->values = walk.parameters.empty() ? Tensor{} : walk.parameters.front().slot().values;
    root->operands = {};
    for (auto& [name, buffer] : walk.buffers) *buffer = buffer->to(device);
  }
  for (std::size_t i = 0; i < walk.modules.size(); ++i) {
    Module& module = *walk.modules[i];
    module.root_ = root;
    module.path_ = walk.paths[i];
    module.index_ = static_cast<std::uint32_t>(i);
    module.last_call_ = 0;
  }
  spread_input_grad();
}

/// Calls `on_module` for this module and all inside it, a parent before its children, and `on_parameter` for their parameters.
/// Allocates nothing.
template <class OnModule, class OnParameter>
void Module::for_tree(const OnModule& on_module, const OnParameter& on_parameter) {
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
  } visit(on_module, on_parameter);
  refuse_moved_from(*this);
  visit({}, *this);
}

Module* Module::find_module(std::string_view path) {
  prepare();
  if (path.empty()) return nullptr;
  const Walk walk(*this);
  const std::string full = path_.empty() ? std::string(path) : fmt::format("{}.{}", path_, path);
  const auto found = std::ranges::find(walk.paths, full);
  return found == walk.paths.end() ? nullptr : walk.modules[static_cast<std::size_t>(found - walk.paths.begin())];
}

bool Module::child_input_grad(std::size_t) const { return true; }

bool Module::set_relu_follows(bool) { return false; }

void Module::spread_input_grad() {
  struct Children final : Members {
    std::vector<Module*> found;
    void operator()(std::string_view, Parameter&) override {}
    void operator()(std::string_view, Tensor&) override {}
    void operator()(std::string_view, Module& child) override { found.push_back(&child); }
  } children;
  members(children);
  for (std::size_t i = 0; i < children.found.size(); ++i) {
    children.found[i]->input_grad_ = child_input_grad(i);
    children.found[i]->spread_input_grad();
  }
}

Module& Module::set_input_grad(bool on) {
  refuse_moved_from(*this);
  input_grad_ = on;
  spread_input_grad();
  return *this;
}

Module& Module::train(bool on) {
  for_tree([on](Module& module) { module.training_ = on; }, [](Parameter&) {});
  return *this;
}

Module& Module::init(std::uint64_t seed) {
  Arena::draw(parameters(), seed);
  if (path_.empty()) {
    root_->seed = seed;
    root_->training_forwards = 0;
  }
  return *this;
}

Module& Module::to(Device device) {
  prepare();
  if (device == root_->stream.device()) return *this;
  require_precision(root_->precision, device);
  make_root(root_->packed_on(device));
  return *this;
}

Module& Module::set_precision(Precision precision) {
  prepare();
  require_precision(precision, root_->stream.device());
  root_->precision = precision;
  root_->operands = {};
  return *this;
}

Precision Module::precision() const noexcept { return root_ ? root_->precision : Precision::fp32; }

/// What a recorded step reads and writes besides its own memory: the parameters, and their copies for multiplication.
std::array<Tensor, 2> Module::memory() {
  prepare();
  return {root_->values, root_->operands};
}

std::uint64_t& Module::training_forwards() {
  prepare();
  return root_->training_forwards;
}

Device Module::device() {
  prepare();
  return root_->stream.device();
}

std::vector<Parameter> Module::parameters() {
  prepare();
  return Walk::whole(*this).parameters;
}

void Module::zero_grad() {
  for_tree([](Module&) {}, [](Parameter& parameter) { parameter.zero_grad(); });
}

// ---- state ---------------------------------------------------------------------------------------------------------

namespace {

/// The name relative to the module whose path is `path`.
std::string relative(const std::string& name, const std::string& path) {
  return path.empty() ? name : name.substr(path.size() + 1);
}

}  // namespace

StateDict Module::state_dict() {
  prepare();
  StateDict state;
  for (auto& [name, tensor] : Walk::whole(*this).state) state.add(relative(name, path_), tensor);
  return state;
}

void Module::load_state_dict(const StateDict& state, bool strict) {
  const StateDict own = state_dict();
  std::vector<std::string> missing, unexpected;
  for (const auto& [name, tensor] : own) {
    const Tensor* given = state.find(name);
    if (!given) {
      missing.push_back(name);
    } else if (!given->defined() || given->shape() != tensor.shape() || given->dtype() != tensor.dtype()) {
      throw std::invalid_argument(fmt::format("load_state_dict: {} must be {} {}, got {} {}", name, name_of(tensor.dtype()),
                                              tensor.shape().string(), name_of(given->dtype()), given->shape().string()));
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

// ---- words ---------------------------------------------------------------------------------------------------------

std::string Module::kind() const {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(typeid(*this).name(), nullptr, nullptr, &status),
                                                         &std::free);
  const std::string full = status == 0 ? name.get() : typeid(*this).name();
  const std::size_t scope = full.substr(0, full.find('<')).rfind("::");
  return scope == std::string::npos ? full : full.substr(scope + 2);
}

std::string Module::label() const { return path_.empty() ? kind() : fmt::format("{} {}", printable(path_, kMaxNameBytes), kind()); }

void Module::add_summary_rows(const Shape& x, std::vector<SummaryRow>& rows) {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters()) count += parameter.numel();
  rows.push_back({path_, kind(), shape_of(*this, x), count});
}

std::string Module::summary(const Shape& x) {
  find_root();
  shape_of(*this, x);
  prepare();
  std::vector<SummaryRow> rows;
  add_summary_rows(x, rows);
  std::vector<std::array<std::string, 4>> cells{{"Layer", "Kind", "Output shape", "Parameters"}};
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters()) total += parameter.numel();
  for (const SummaryRow& row : rows) cells.push_back({row.name, row.kind, row.output.string(), grouped(row.parameters)});
  std::array<std::size_t, 4> widths{};
  for (const auto& row : cells) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string table = fmt::format("{} on {}\n", kind(), x.string());
  for (const auto& row : cells) {
    table +=
        fmt::format("{:<{}}  {:<{}}  {:<{}}  {:>{}}\n", row[0], widths[0], row[1], widths[1], row[2], widths[2], row[3], widths[3]);
  }
  return table + fmt::format("Total parameters: {}\n", grouped(total));
}

}  // namespace gpucnn
