#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include <gpucnn/layers/graph/model_graph.h>

#include "reference/activation.h"
#include "reference/conv2d.h"
#include "reference/linear.h"
#include "reference/max_pool2d.h"
#include "reference/softmax.h"
#include "reference/upsample_nearest2d.h"
#include "reference/values.h"
#include "reference/window_pool.h"

namespace gpucnn::reference {

/// Runs the operations of a graph one after the other.
class GraphRun {
 public:
  GraphRun(const ModelGraph& graph, const Values& x) : graph_(graph), values_(graph.values.size()) {
    values_[0] = x;
    for (const ModelGraph::Node& node : graph.nodes) {
      node_ = &node;
      values_.at(static_cast<std::size_t>(node.output)) = std::visit([this](const auto& op) { return run(op); }, node.op);
    }
  }

  const Values& y() const { return values_.at(static_cast<std::size_t>(graph_.output)); }

 private:
  static Values numbers(const Tensor& tensor) { return tensor.defined() ? widen(tensor.to_vector<float>()) : Values{}; }
  const Values& x(std::size_t i = 0) const { return values_.at(static_cast<std::size_t>(node_->inputs.at(i))); }
  const Shape& x_shape(std::size_t i = 0) const { return graph_.values.at(static_cast<std::size_t>(node_->inputs.at(i))); }

  Values run(const op::Conv2d& op) const {
    const Shape& s = x_shape();
    const Conv2dOptions& o = op.options;
    const reference::Conv2d conv{s[0],          s[1],     s[2],      s[3],       op.weight.dim(0),
                                 o.kernel_size, o.stride, o.padding, o.dilation, o.groups};
    return conv2d(conv, x(), numbers(op.weight), numbers(op.bias));
  }

  Values run(const op::Linear& op) const {
    const auto extent = [&](int dim) { return static_cast<std::size_t>(op.weight.dim(dim)); };
    return linear(static_cast<std::size_t>(x_shape()[0]), extent(1), extent(0), x(), numbers(op.weight), numbers(op.bias));
  }

  /// y = (x - mean) / sqrt(var + eps) * weight + bias, where `set(n, c)` says whose mean and variance an element has.
  template <class SetOf>
  Values normalized(std::size_t sets, double eps, const Tensor& weight, const Tensor& bias, const SetOf& set, Values mean = {},
                    Values var = {}) const {
    const Shape& s = x_shape();
    const auto pixels = s[2] * s[3], channels = s[1];
    const auto place = [&](std::size_t e) {
      const auto plane = static_cast<std::int64_t>(e) / pixels;
      return std::pair(static_cast<std::size_t>(set(plane / channels, plane % channels)),
                       static_cast<std::size_t>(plane % channels));
    };
    if (mean.empty()) {
      mean.assign(sets, 0);
      var.assign(sets, 0);
      const double count = static_cast<double>(x().size()) / static_cast<double>(sets);
      for (std::size_t e = 0; e < x().size(); ++e) mean[place(e).first] += x()[e] / count;
      for (std::size_t e = 0; e < x().size(); ++e) var[place(e).first] += std::pow(x()[e] - mean[place(e).first], 2) / count;
    }
    const Values scale = numbers(weight), shift = numbers(bias);
    Values y(x().size());
    for (std::size_t e = 0; e < y.size(); ++e) {
      const auto [i, c] = place(e);
      y[e] = (x()[e] - mean[i]) / std::sqrt(var[i] + eps);
      if (!scale.empty()) y[e] = y[e] * scale[c] + shift[c];
    }
    return y;
  }

  Values run(const op::BatchNorm2d& op) const {
    const auto channel = [](std::int64_t, std::int64_t c) { return c; };
    return normalized(static_cast<std::size_t>(x_shape()[1]), op.eps, op.weight, op.bias, channel, numbers(op.running_mean),
                      numbers(op.running_var));
  }

  Values run(const op::GroupNorm& op) const {
    const std::int64_t in_group = x_shape()[1] / op.num_groups;
    const auto group = [&](std::int64_t n, std::int64_t c) { return n * op.num_groups + c / in_group; };
    return normalized(static_cast<std::size_t>(x_shape()[0] * op.num_groups), op.eps, op.weight, op.bias, group);
  }

  Values run(const Activation& op) const {
    Values y = x();
    for (double& value : y) value = activated(op, value);
    return y;
  }

  static double activated(const Activation& op, double x) {
    if (op.kind == Activation::leaky_relu) return x > 0 ? x : double{op.negative_slope} * x;
    if (op.kind == Activation::scaled) return double{op.factor} * x;
    for (const PointwiseActivation& known : kActivations) {
      if (known.function.kind == op.kind) return known.value(x);
    }
    return std::nan("");
  }

  Values run(const op::MaxPool2d& op) const {
    const Shape& s = x_shape();
    const kernels::Pool2d& o = op.options;
    return max_pool2d({s[0] * s[1], s[2], s[3], o.kernel_size, o.stride, o.padding, o.dilation, o.ceil_mode}, x()).y;
  }
  Values run(const op::AvgPool2d& op) const {
    return window_mean(avg_windows(x_shape()[2], x_shape()[3], op.options), x_shape()[2], x_shape()[3], x());
  }
  Values run(const op::AdaptiveAvgPool2d& op) const {
    const std::int64_t H = x_shape()[2], W = x_shape()[3];
    return window_mean(adaptive_windows(H, W, op.output_size), H, W, x());
  }
  Values run(const op::AdaptiveMaxPool2d& op) const {
    const std::int64_t H = x_shape()[2], W = x_shape()[3];
    return window_max(adaptive_windows(H, W, op.output_size), H, W, x()).y;
  }
  Values run(const op::Upsample& op) const {
    const Shape& s = x_shape();
    return upsample_nearest2d(s[0] * s[1], s[2], s[3], op.scale_factor, x());
  }
  Values run(const op::Flatten&) const { return x(); }

  /// Each pixel has a sum of its own.
  Values run(const op::Softmax&) const {
    const Shape& s = x_shape();
    const auto channels = static_cast<std::size_t>(s[1]), pixels = s.rank() == 4 ? static_cast<std::size_t>(s[2] * s[3]) : 1;
    Values y(x().size());
    for (std::size_t n = 0; n < static_cast<std::size_t>(s[0]); ++n) {
      for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
        const auto at = [&](std::size_t c) { return (n * channels + c) * pixels + pixel; };
        Values row;
        for (std::size_t c = 0; c < channels; ++c) row.push_back(x()[at(c)]);
        row = softmax(1, channels, row);
        for (std::size_t c = 0; c < channels; ++c) y[at(c)] = row[c];
      }
    }
    return y;
  }

  Values run(const op::Add&) const {
    Values y = x(0);
    for (std::size_t e = 0; e < y.size(); ++e) y[e] += x(1)[e];
    return y;
  }

  Values run(const op::Concat&) const {
    Values y;
    const std::int64_t N = x_shape()[0];
    for (std::int64_t n = 0; n < N; ++n) {
      for (std::size_t i = 0; i < node_->inputs.size(); ++i) {
        const auto size = static_cast<std::ptrdiff_t>(x(i).size()) / N;
        y.insert(y.end(), x(i).begin() + n * size, x(i).begin() + (n + 1) * size);
      }
    }
    return y;
  }

  const ModelGraph& graph_;
  const ModelGraph::Node* node_ = nullptr;
  std::vector<Values> values_;
};

/// What a graph makes of x, in float64.
inline Values run_graph(const ModelGraph& graph, const Values& x) { return GraphRun(graph, x).y(); }

}  // namespace gpucnn::reference
