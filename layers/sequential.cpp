#include <gpucnn/layers/sequential.h>

#include <algorithm>
#include <typeinfo>
#include <utility>

#include <fmt/format.h>

#include <gpucnn/kernels/relu.h>
#include <gpucnn/layers/max_pool2d.h>
#include <gpucnn/layers/relu.h>

namespace gpucnn {

/// While it lives, a layer applies the ReLU beside it, if it can.
struct Sequential::WithRelu {
  Module& layer;
  bool applied;
  explicit WithRelu(Module& with) : layer(with), applied(tell_relu_follows(with, true)) {}
  ~WithRelu() { tell_relu_follows(layer, false); }
  WithRelu(const WithRelu&) = delete;
  WithRelu& operator=(const WithRelu&) = delete;
};

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
  const auto at = [this](std::size_t i, const std::type_info& type) -> Module* {
    return i < entries_.size() && typeid(*entries_[i].module) == type ? entries_[i].module.get() : nullptr;
  };
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Module* const layer = entries_[i].module.get();
    Module* const pool = at(i + 1, typeid(MaxPool2d));
    Module* const relu = at(i + 1, typeid(ReLU));
    if (at(i, typeid(ReLU)) && pool && i > 0) {  // the first layer may have to stop its gradient, which the other needs
      stages_.push_back({pool, static_cast<ReLU*>(layer)});
      ++i;
    } else if (relu && !at(i + 2, typeid(MaxPool2d)) && WithRelu(*layer).applied) {
      stages_.push_back({layer, static_cast<ReLU*>(relu)});
      ++i;
    } else {
      stages_.push_back({layer});
    }
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
  for (const Stage& stage : stages_) y = run(stage, y);
  return y;
}

Tensor Sequential::run(const Stage& stage, const Tensor& x) {
  if (!stage.relu) return (*stage.layer)(x);
  const WithRelu with(*stage.layer);
  Tensor y = (*stage.layer)(x);
  if (!with.applied) kernels::relu(y, y, stream());
  keep(stage.relu->y_, y);
  return y;
}

Tensor Sequential::backward(const Tensor& dy) {
  Tensor gradient = dy;
  for (auto stage = stages_.rbegin(); stage != stages_.rend(); ++stage) {
    if (stage->relu) gradient = stage->relu->backward(gradient);
    gradient = stage->layer->backward(gradient);
  }
  return input_grad() ? returned(gradient) : Tensor{};
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
