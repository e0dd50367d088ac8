#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/layers/graph/model_graph.h>

namespace gpucnn {
namespace {

std::vector<float> values_or(const Tensor& tensor, std::size_t count, float otherwise) {
  return tensor.defined() ? tensor.to_vector<float>() : std::vector<float>(count, otherwise);
}

bool is_finite(const std::vector<float>& values) {
  return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
}

/// The convolution that does the work of both; nothing where a number that is not finite would come of it.
std::optional<op::Conv2d> folded(const op::Conv2d& conv, const op::BatchNorm2d& norm) {
  const Shape shape = conv.weight.shape();
  const auto channels = static_cast<std::size_t>(shape[0]);
  const std::vector<float> mean = norm.running_mean.to_vector<float>(), var = norm.running_var.to_vector<float>(),
                           scale = values_or(norm.weight, channels, 1), shift = values_or(norm.bias, channels, 0);
  std::vector<float> weight = conv.weight.to_vector<float>(), bias = values_or(conv.bias, channels, 0);
  const std::size_t per_channel = weight.size() / channels;
  for (std::size_t k = 0; k < channels; ++k) {
    const double s = double{scale[k]} / std::sqrt(double{var[k]} + norm.eps);
    for (std::size_t i = k * per_channel; i < (k + 1) * per_channel; ++i) weight[i] = static_cast<float>(double{weight[i]} * s);
    bias[k] = static_cast<float>((double{bias[k]} - double{mean[k]}) * s + double{shift[k]});
  }
  if (!is_finite(weight) || !is_finite(bias)) return std::nullopt;
  op::Conv2d both{conv.options, Tensor::from(weight, shape), Tensor::from(bias, {shape[0]})};
  both.options.bias = true;
  return both;
}

}  // namespace

void ModelGraph::renumber() {
  std::vector<int> numbers(values.size(), 0);
  std::vector<Shape> made{values[0]};
  for (Node& node : nodes) {
    for (int& input : node.inputs) input = numbers[static_cast<std::size_t>(input)];
    made.push_back(values[static_cast<std::size_t>(node.output)]);
    numbers[static_cast<std::size_t>(node.output)] = static_cast<int>(made.size()) - 1;
    node.output = static_cast<int>(made.size()) - 1;
  }
  output = numbers[static_cast<std::size_t>(output)];
  values = std::move(made);
}

void ModelGraph::fold_batch_norm() {
  const FloatEnvironment standard;
  std::vector<int> readers(values.size(), 0);  // of each value
  std::vector<Node*> makers(values.size(), nullptr);
  ++readers[static_cast<std::size_t>(output)];
  for (Node& node : nodes) {
    makers[static_cast<std::size_t>(node.output)] = &node;
    for (const int input : node.inputs) ++readers[static_cast<std::size_t>(input)];
  }
  std::vector<const Node*> gone;
  for (Node& node : nodes) {
    const auto* norm = std::get_if<op::BatchNorm2d>(&node.op);
    if (!norm || !norm->running_mean.defined()) continue;
    const auto x = static_cast<std::size_t>(node.inputs[0]);
    Node* const before = readers[x] == 1 ? makers[x] : nullptr;
    const auto* conv = before ? std::get_if<op::Conv2d>(&before->op) : nullptr;
    if (!conv) continue;
    std::optional<op::Conv2d> both = folded(*conv, *norm);
    if (!both) continue;
    before->op = *std::move(both);
    before->output = node.output;
    makers[static_cast<std::size_t>(node.output)] = before;
    gone.push_back(&node);
  }
  std::vector<Node> left;
  for (Node& node : nodes) {
    if (std::ranges::find(gone, &node) == gone.end()) left.push_back(std::move(node));
  }
  nodes = std::move(left);
  renumber();
}

}  // namespace gpucnn
