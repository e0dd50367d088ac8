#include <gpucnn/layers/graph/graph_builder.h>

#include <utility>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn {

int GraphBuilder::add(const Module& layer, Op op, int x) {
  const Shape y = layer.output_shape(shape(x));
  return add(layer, {}, std::move(op), {x}, y);
}

int GraphBuilder::add(const Module& layer, std::string_view part, Op op, std::vector<int> inputs, const Shape& y) {
  const std::string& path = layer.path();
  const std::string wanted = path.empty() || part.empty() ? formatted("{}{}", path, part) : formatted("{}.{}", path, part);
  std::string free = wanted;
  for (int count = 2; !paths_.insert(free).second; ++count) free = formatted("{}_{}", wanted, count);
  graph_.values.push_back(y);
  const int output = static_cast<int>(graph_.values.size()) - 1;
  graph_.nodes.push_back({std::move(free), std::move(op), std::move(inputs), output});
  return output;
}

Tensor GraphBuilder::tensor(const Parameter& parameter) { return parameter.defined() ? tensor(parameter.value()) : Tensor{}; }

Tensor GraphBuilder::tensor(const Tensor& buffer) { return buffer.defined() ? buffer.to(Device::cpu()) : Tensor{}; }

ModelGraph GraphBuilder::of(const Module& model, const Shape& x) {
  model.named_root();  // so that a message has the layer's path
  Module::shape_of(model, x);
  model.packed_root();  // draws the values that were not loaded
  GraphBuilder graph(x);
  graph.graph_.output = graph.add(model, 0);
  return std::move(graph.graph_);
}

ModelGraph graph_of(const Module& model, const Shape& x) { return GraphBuilder::of(model, x); }

}  // namespace gpucnn
