#include <gpucnn/layers/containers/sequential.h>

#include <algorithm>
#include <typeinfo>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/combine/add.h>
#include <gpucnn/layers/containers/concat.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/fusion/fuse.h>
#include <gpucnn/layers/fusion/image_groups.h>
#include <gpucnn/layers/graph/graph_builder.h>

namespace gpucnn {
namespace {

bool is_container(const Module& module) {
  const auto is = [&module](auto&... classes) { return ((typeid(module) == classes) || ...); };
  return is(typeid(Sequential), typeid(Residual), typeid(ResidualBlock), typeid(Concat));
}

}  // namespace

Sequential::Sequential(std::initializer_list<Child> children) {
  set_input_grad(false);
  children_.add_all(children);
}

Sequential::Sequential(std::vector<Child>&& children) {
  set_input_grad(false);
  children_.add_all(children);
}

void Sequential::push_back(Child child) {
  refuse_moved_from(*this);
  children_.add(child);
}

Sequential::~Sequential() = default;
Sequential::Sequential(Sequential&&) noexcept = default;

Sequential& Sequential::operator=(Sequential&& other) noexcept {
  if (this == &other) return *this;
  Module::operator=(std::move(other));
  // NOLINTNEXTLINE(bugprone-use-after-move): the base has moved, and what follows is no part of it
  children_ = std::move(other.children_);
  stages_ = std::move(other.stages_);
  apart_ = other.apart_;
  return *this;
}

Shape Sequential::output_shape(const Shape& x) const {
  refuse_moved_from(*this);
  Shape shape = x, shape_before;
  const Module* before = nullptr;
  for (const auto& entry : children_) {
    refuse_moved_from(*entry.module);
    try {
      shape_before = std::exchange(shape, entry.module->output_shape(shape));
    } catch (const std::invalid_argument&) {
      // Again, for the message: what made the shape that did not fit?
      std::string made = shape_before.string();
      if (shape_before.rank() > 0) made = "[N" + made.substr(made.find_first_of(",]"));
      shape_of(*entry.module, shape, before ? formatted(" ({} of {})", before->kind(), made) : "");
      throw;
    }
    before = entry.module.get();
  }
  return shape;
}

void Sequential::list_layers(std::vector<Module*>& layers) const {
  for (const auto& entry : children_) {
    const Module& module = *entry.module;
    if (typeid(module) == typeid(Sequential)) {  // a class derived from it may do something else with what goes in and out
      static_cast<const Sequential&>(module).list_layers(layers);
    } else {
      layers.push_back(entry.module.get());
    }
  }
}

void Sequential::placed(Device) {
  std::vector<Module*> layers;
  list_layers(layers);
  stages_ = fuse(layers);
}

std::unique_ptr<Module> Sequential::copy() const { return copied_into(std::make_unique<Sequential>()); }

std::unique_ptr<Module> Sequential::copied_into(std::unique_ptr<Sequential> network) const {
  network->children_ = children_.copy();
  return network;
}

/// Stages run layers without calling them.
bool Sequential::has_hooked_layers() const {
  return std::ranges::any_of(children_, [](const auto& entry) { return entry.module->has_hooks(); });
}

bool Sequential::takes_ends() const { return typeid(*this) == typeid(Sequential); }

bool Sequential::gathers(const kernels::OrderedBatch& batch) const {
  return !has_hooked_layers() && !stages_.empty() && stages_.front()->gathers(batch);
}

/// The most elements that an image has before or behind a layer, up to the first that makes no images.
std::int64_t Sequential::largest_image(const Shape& x) const {
  Shape shape = x;
  std::int64_t largest = x.numel() / x[0];
  for (const auto& entry : children_) {
    shape = entry.module->output_shape(shape);
    largest = std::max(largest, shape.numel() / x[0]);
    if (shape.rank() != 4) break;
  }
  return largest;
}

/// All children one by one if they run `apart`, else the first `stages`.
Tensor Sequential::run(const Tensor& x, Context& context, bool apart, std::size_t stages) const {
  if (context.keeps()) apart_ = apart;
  Tensor y = x;
  if (apart) {
    for (const auto& entry : children_) y = (*entry.module)(y, context);
    return y;
  }
  std::size_t first = 0;
  if (!context.keeps() && is_for_groups(x)) {
    const std::span of_these = std::span(stages_).first(stages);
    if (const ImageGroups groups = image_groups(of_these, x, largest_image(x.shape()), is_container)) {
      y = run_in_groups(groups, of_these, x, context);
      first = groups.stages;
    }
  }
  for (std::size_t i = first; i < stages; ++i) y = stages_[i]->forward(y, context);
  return y;
}

Tensor Sequential::forward(const Tensor& x, Context& context) const { return run(x, context, has_hooked_layers(), stages_.size()); }

AddingStage* Sequential::adding_stage(bool apart) const { return apart || stages_.empty() ? nullptr : stages_.back()->adding(); }

Tensor Sequential::forward_before_sum(const Tensor& x, Context& context) const {
  const bool apart = has_hooked_layers();
  return run(x, context, apart, stages_.size() - (adding_stage(apart) ? 1 : 0));
}

Tensor Sequential::forward_sum(const Tensor& before, const Tensor& addend, Context& context) const {
  if (AddingStage* const last = adding_stage(has_hooked_layers())) return last->forward_sum(before, addend, context);
  Tensor y = Tensor::empty(before.shape(), before.dtype(), before.device());
  kernels::add(before, addend, y, context.stream());
  kernels::activation(y, {Activation::relu}, y, context.stream());
  context.save(y);
  return y;
}

namespace {

/// From the gradient of the last part's y to that of the first one's x. Parts before the first one that learns have no backward
/// where nobody wants the gradient of their input.
template <class Learns, class Backward>
Tensor backward_through(std::size_t parts, const Tensor& dy, const Context& context, const Learns& learns,
                        const Backward& backward) {
  std::size_t first = 0;
  while (!context.input_grad() && first < parts && !learns(first)) ++first;
  Tensor gradient = dy;
  for (std::size_t i = parts; i-- > first;) gradient = backward(i, gradient);
  return context.input_grad() ? gradient : Tensor{};
}

}  // namespace

/// From dy, the gradient of what the first `parts` children or stages make, to the gradient of x. `addend`, if there is one, is
/// added to it.
Tensor Sequential::run_backward(std::size_t parts, const Tensor& dy, const Tensor& addend, Context& context) {
  const bool adds = addend.defined() && context.input_grad();
  if (apart_ || (adds && parts == 0)) {
    Tensor dx = backward_through(
        parts, dy, context, [&](std::size_t i) { return learns(children_[i]); },
        [&](std::size_t i, const Tensor& gradient) { return children_[i].backward(gradient, context); });
    if (!adds) return dx;
    Tensor sum = Tensor::empty(dx.shape(), dx.dtype(), dx.device());
    kernels::add(dx, addend, sum, context.stream());
    return sum;
  }
  return backward_through(
      parts, dy, context, [&](std::size_t i) { return stages_[i]->learns(); },
      [&](std::size_t i, const Tensor& gradient) {
        Tensor dx = adds && i == 0 ? stages_[i]->backward_plus(gradient, addend, context) : stages_[i]->backward(gradient, context);
        if (i > 0 && context.tells_gradients()) context.tell_gradients(parameters_end(i));
        return dx;
      });
}

/// Where the parameters of the first `stages` end in the arena. What lies behind is of later stages alone.
std::int64_t Sequential::parameters_end(std::size_t stages) const {
  std::int64_t end = 0;
  for (std::size_t i = 0; i < stages; ++i) end = std::max(end, stages_[i]->parameters_end());
  return end;
}

Tensor Sequential::gradients(const Tensor& dy, Context& context) {
  return run_backward(apart_ ? children_.size() : stages_.size(), dy, {}, context);
}

Tensor Sequential::gradients_of_sum(const Tensor& dy, Tensor& dsum, Context& context) {
  if (AddingStage* const last = adding_stage(apart_)) return last->backward_sum(dy, dsum, context);
  kernels::activation_backward(context.saved(), {Activation::relu}, dy, dsum, context.stream());
  return dsum;
}

Tensor Sequential::gradients_before_sum(const Tensor& dbefore, const Tensor& addend, Context& context) {
  const std::size_t parts = apart_ ? children_.size() : stages_.size();
  return run_backward(parts - (adding_stage(apart_) ? 1 : 0), dbefore, addend, context);
}

int Sequential::add_to(GraphBuilder& graph, int x) const {
  int y = x;
  for (const auto& entry : children_) y = graph.add(*entry.module, y);
  return y;
}

bool Sequential::child_input_grad(std::size_t i) const {
  if (input_grad()) return true;
  for (std::size_t before = 0; before < i; ++before) {
    if (learns(children_[before])) return true;
  }
  return false;
}

void Sequential::members(Members& m) { children_.members(m); }

void Sequential::add_summary_rows(const Shape& x, std::vector<SummaryRow>& rows) {
  Shape shape = x;
  for (const auto& entry : children_) {
    const Shape next = shape_of(*entry.module, shape);
    summarize(*entry.module, shape, rows);
    shape = next;
  }
}

}  // namespace gpucnn
