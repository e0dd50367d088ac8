#include <gpucnn/layers/containers/sequential.h>

#include <algorithm>
#include <typeinfo>
#include <utility>

#include <fmt/format.h>

#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/layers/fusion/fuse.h>

namespace gpucnn {

Sequential::Sequential(std::initializer_list<Child> children) {
  set_input_grad(false);
  for (const Child& child : children) {
    std::string name = child.name_.empty() ? std::to_string(entries_.size()) : child.name_;
    if (name.find('.') != std::string::npos) {
      throw std::invalid_argument(
          fmt::format("Sequential: the name '{}' must not have a dot in it", printable(name, kMaxNameBytes)));
    }
    if (std::ranges::find(entries_, name, &Entry::name) != entries_.end()) {
      throw std::invalid_argument(fmt::format("Sequential: there is already a child '{}'", printable(name, kMaxNameBytes)));
    }
    if (!child.module_) throw std::invalid_argument("Sequential: a child was moved from");
    refuse_moved_from(*child.module_);
    entries_.push_back({std::move(name), std::move(child.module_)});
  }
}

Sequential::~Sequential() = default;
Sequential::Sequential(Sequential&&) noexcept = default;

Sequential& Sequential::operator=(Sequential&& other) noexcept {
  if (this == &other) return *this;
  Module::operator=(std::move(other));
  // NOLINTNEXTLINE(bugprone-use-after-move): the base has moved, and what follows is no part of it
  entries_ = std::move(other.entries_);
  stages_ = std::move(other.stages_);
  return *this;
}

Shape Sequential::output_shape(const Shape& x) const {
  refuse_moved_from(*this);
  Shape shape = x, shape_before;
  const Module* before = nullptr;
  for (const Entry& entry : entries_) {
    refuse_moved_from(*entry.module);
    try {
      shape_before = std::exchange(shape, entry.module->output_shape(shape));
    } catch (const std::invalid_argument&) {
      // Again, for the message: what made the shape that did not fit?
      std::string made = shape_before.string();
      if (shape_before.rank() > 0) made = "[N" + made.substr(made.find_first_of(",]"));
      shape_of(*entry.module, shape, before ? fmt::format(" ({} of {})", before->kind(), made) : "");
      throw;
    }
    before = entry.module.get();
  }
  return shape;
}

void Sequential::list_layers(std::vector<Module*>& layers) const {
  for (const Entry& entry : entries_) {
    const Module& module = *entry.module;
    if (typeid(module) == typeid(Sequential)) {  // a class derived from it may do something else with what goes in and out
      static_cast<const Sequential&>(module).list_layers(layers);
    } else {
      layers.push_back(entry.module.get());
    }
  }
}

void Sequential::placed(Device device) {
  std::vector<Module*> layers;
  list_layers(layers);
  stages_ = fuse(layers, device);
}

Tensor Sequential::forward(const Tensor& x, Context& context) const {
  Tensor y = x;
  for (const auto& stage : stages_) y = stage->forward(y, context);
  return y;
}

Tensor Sequential::gradients(const Tensor& dy, Context& context) {
  Tensor gradient = dy;
  for (auto stage = stages_.rbegin(); stage != stages_.rend(); ++stage) gradient = (*stage)->backward(gradient, context);
  return gradient;
}

void Sequential::members(Members& m) {
  for (Entry& entry : entries_) m(entry.name, *entry.module);
}

void Sequential::add_summary_rows(const Shape& x, std::vector<SummaryRow>& rows) {
  Shape shape = x;
  for (Entry& entry : entries_) {
    const Shape next = shape_of(*entry.module, shape);
    summarize(*entry.module, shape, rows);
    shape = next;
  }
}

}  // namespace gpucnn
