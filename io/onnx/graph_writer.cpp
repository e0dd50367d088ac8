#include <gpucnn/io/onnx/graph_writer.h>

#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/onnx/fields.h>

namespace gpucnn::onnx {
namespace {

protobuf::WireWriter attribute_of(std::string_view name, attribute::Type type) {
  protobuf::WireWriter message;
  message.bytes(attribute::name, name);
  message.integer(attribute::type, type);
  return message;
}

/// `wanted`, or with a number behind it where that is taken.
std::string free_name(const std::string& wanted, std::set<std::string>& taken) {
  std::string name = wanted;
  for (int count = 2; !taken.insert(name).second; ++count) name = formatted("{}_{}", wanted, count);
  return name;
}

protobuf::WireWriter tensor_head(const std::string& name, tensor::Type type, const Shape& dims) {
  protobuf::WireWriter head;
  for (const std::int64_t extent : dims) head.integer(tensor::dims, extent);
  head.integer(tensor::data_type, type);
  head.bytes(tensor::name, name);
  return head;
}

}  // namespace

Attributes& Attributes::integer(std::string_view name, std::int64_t value) {
  all_.push_back(attribute_of(name, attribute::is_int));
  all_.back().integer(attribute::i, value);
  return *this;
}

Attributes& Attributes::real(std::string_view name, double value) {
  all_.push_back(attribute_of(name, attribute::is_float));
  all_.back().real(attribute::f, static_cast<float>(value));
  return *this;
}

Attributes& Attributes::text(std::string_view name, std::string_view value) {
  all_.push_back(attribute_of(name, attribute::is_string));
  all_.back().bytes(attribute::s, value);
  return *this;
}

Attributes& Attributes::integers(std::string_view name, const std::vector<std::int64_t>& values) {
  all_.push_back(attribute_of(name, attribute::is_ints));
  for (const std::int64_t value : values) all_.back().integer(attribute::ints, value);
  return *this;
}

GraphWriter::GraphWriter(const ModelGraph& graph) : graph_(graph), names_(graph.values.size()) {
  names_[0] = free_name("input", taken_names_);
  if (graph.output != 0) names_[static_cast<std::size_t>(graph.output)] = free_name("output", taken_names_);
  for (const ModelGraph::Node& node : graph.nodes) {
    std::string& name = names_[static_cast<std::size_t>(node.output)];
    if (name.empty()) name = free_name(printable(node.path), taken_names_);
  }
}

void GraphWriter::write_node(std::size_t i) {
  node_ = &graph_.nodes[i];
  std::visit([this](const auto& op) { write(op, *this); }, node_->op);
}

std::string GraphWriter::write_output() {
  if (graph_.output != 0) return value_name(graph_.output);
  const ModelGraph::Node copy{{}, Activation{}, {0}, 0};
  node_ = &copy;
  std::string name = step("output", "Identity", {value_name(0)});
  node_ = nullptr;
  return name;
}

std::vector<std::string> GraphWriter::inputs() const {
  std::vector<std::string> names;
  for (const int value : node_->inputs) names.push_back(value_name(value));
  return names;
}

std::string GraphWriter::joined_path(std::string_view part) const {
  const std::string path = printable(node_->path);
  return path.empty() || part.empty() ? formatted("{}{}", path, part) : formatted("{}.{}", path, part);
}

std::string GraphWriter::tensor(std::string_view part, const Tensor& values) {
  std::string name = free_name(joined_path(part), taken_names_);
  initializers_.push_back({tensor_head(name, tensor::is_float, values.shape()), values});
  return name;
}

std::string GraphWriter::integers(std::string_view part, const std::vector<std::int64_t>& values) {
  std::string name = free_name(joined_path(part), taken_names_);
  const Shape shape{values.size()};
  initializers_.push_back({tensor_head(name, tensor::is_int64, shape), Tensor::from(values, shape)});
  return name;
}

std::string GraphWriter::scalar(std::string_view part, double value) {
  return tensor(part, Tensor::full(Shape{}, static_cast<float>(value)));
}

std::string GraphWriter::step(std::string_view part, std::string_view type, const std::vector<std::string>& inputs,
                              const Attributes& attributes) {
  std::string output = free_name(joined_path(part), taken_names_);
  emit(type, part, inputs, output, attributes);
  return output;
}

void GraphWriter::last(std::string_view type, const std::vector<std::string>& inputs, const Attributes& attributes) {
  emit(type, {}, inputs, value_name(node_->output), attributes);
}

void GraphWriter::emit(std::string_view type, std::string_view part, const std::vector<std::string>& inputs,
                       const std::string& output, const Attributes& attributes) {
  protobuf::WireWriter message;
  for (const std::string& name : inputs) message.bytes(node::input, name);
  message.bytes(node::output, output);
  const std::string path = joined_path(part);
  message.bytes(node::name, free_name(path.empty() ? std::string(type) : path, taken_nodes_));
  message.bytes(node::op_type, type);
  for (const protobuf::WireWriter& attribute : attributes.all()) message.message(node::attribute, attribute);
  nodes_.push_back(std::move(message));
}

}  // namespace gpucnn::onnx
