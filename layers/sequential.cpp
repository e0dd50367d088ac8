#include <gpucnn/layers/sequential.h>

#include <algorithm>
#include <typeinfo>
#include <utility>

#include <fmt/format.h>

#include <gpucnn/kernels/relu.h>
#include <gpucnn/layers/max_pool2d.h>
#include <gpucnn/layers/relu.h>

namespace gpucnn {

Sequential::Sequential(std::initializer_list<Child> children) {
  set_input_grad(false);
  for (const Child& child : children) {
    std::string name = child.name_.empty() ? std::to_string(entries_.size()) : child.name_;
    if (name.find('.') != std::string::npos) {
      throw std::invalid_argument(fmt::format("Sequential: the name '{}' must not have a dot in it", name));
    }
    if (std::ranges::find(entries_, name, &Entry::name) != entries_.end()) {
      throw std::invalid_argument(fmt::format("Sequential: there is already a child '{}'", name));
    }
    if (!child.module_) throw std::invalid_argument("Sequential: a child was moved from");
    entries_.push_back({std::move(name), std::move(child.module_)});
  }
  // Classes derived from these layers may compute something else, so only the classes themselves are joined.
  const auto is = [this](std::size_t i, const std::type_info& type) {
    return i < entries_.size() && typeid(*entries_[i].module) == type;
  };
  for (std::size_t i = 0; i < entries_.size(); i += stages_.back().count) {
    Stage& stage = stages_.emplace_back(Stage{i});
    if (!is(i + 1, typeid(ReLU)) || !tell_relu_follows(*entries_[i].module, true)) continue;
    tell_relu_follows(*entries_[i].module, false);
    stage.count = is(i + 2, typeid(MaxPool2d)) ? 3 : 2;
  }
}

Shape Sequential::output_shape(const Shape& x) const {
  Shape shape = x, shape_before;
  const Module* before = nullptr;
  for (const Entry& entry : entries_) {
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

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (Stage& stage : stages_) y = run(stage, y);
  return y;
}

Tensor Sequential::run(Stage& stage, const Tensor& x) {
  Module& first = *entries_[stage.first].module;
  if (stage.count == 1) return first(x);
  struct WithRelu {
    Module& layer;
    explicit WithRelu(Module& with) : layer(with) { tell_relu_follows(layer, true); }
    ~WithRelu() { tell_relu_follows(layer, false); }
  };
  Tensor y;
  {
    const WithRelu with(first);
    y = first(x);
  }
  if (stage.count == 2) {
    auto& relu = static_cast<ReLU&>(*entries_[stage.first + 1].module);
    keep(relu.y_, y);
    return y;
  }
  Tensor pooled = (*entries_[stage.first + 2].module)(y);
  keep(stage.pooled, pooled);
  return pooled;
}

Tensor Sequential::backward(const Tensor& dy) {
  Tensor gradient = dy;
  for (auto stage = stages_.rbegin(); stage != stages_.rend(); ++stage) gradient = run_back(*stage, gradient);
  return gradient;
}

Tensor Sequential::run_back(Stage& stage, const Tensor& dy) {
  Module& first = *entries_[stage.first].module;
  if (stage.count == 1) return first.backward(dy);
  Module& last = *entries_[stage.first + stage.count - 1].module;
  if (stage.count == 2) return first.backward(last.backward(dy));
  // A window's winner passed the ReLU if the window's result did: the mask is applied to the smaller tensor.
  check_gradient(dy, kept(stage.pooled).shape());
  const Tensor pooled = consume(stage.pooled);
  Tensor masked = Tensor::empty(dy.shape(), DType::f32, dy.device());
  kernels::relu_backward(pooled, dy, masked, stream());
  return first.backward(last.backward(masked));
}

void Sequential::members(Members& m) {
  for (Entry& entry : entries_) m(entry.name, *entry.module);
}

Module& Sequential::find(std::string_view path) {
  prepare();
  const std::size_t dot = path.find('.');
  const auto entry = std::ranges::find(entries_, path.substr(0, dot), &Entry::name);
  if (entry == entries_.end()) throw std::invalid_argument(fmt::format("Sequential::at: there is no module '{}'", path));
  if (dot == std::string_view::npos) return *entry->module;
  if (auto* inner = dynamic_cast<Sequential*>(entry->module.get())) return inner->find(path.substr(dot + 1));
  throw std::invalid_argument(fmt::format("Sequential::at: there is no module '{}'", path));
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
