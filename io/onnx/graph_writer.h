#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gpucnn/core/tensor.h>
#include <gpucnn/io/protobuf/wire_writer.h>
#include <gpucnn/layers/graph/model_graph.h>

namespace gpucnn::onnx {

/// The attributes of an ONNX node.
class Attributes {
 public:
  Attributes& integer(std::string_view name, std::int64_t value);
  Attributes& real(std::string_view name, double value);
  Attributes& text(std::string_view name, std::string_view value);
  Attributes& integers(std::string_view name, const std::vector<std::int64_t>& values);

  const std::vector<protobuf::WireWriter>& all() const noexcept { return all_; }

 private:
  std::vector<protobuf::WireWriter> all_;
};

/// Makes ONNX nodes and initializers of the nodes of a graph, one after the other.
class GraphWriter {
 public:
  explicit GraphWriter(const ModelGraph& graph);

  /// Makes the ONNX nodes of number `i`.
  void write_node(std::size_t i);
  /// The name of the graph's output, behind all nodes. Of a graph without a node it is made here, as a copy of the input.
  std::string write_output();

  /// An initializer: its message up to the elements, which follow in PyTorch's order.
  struct Initializer {
    protobuf::WireWriter head;
    Tensor tensor;
  };
  const std::vector<protobuf::WireWriter>& nodes() const noexcept { return nodes_; }
  const std::vector<Initializer>& initializers() const noexcept { return initializers_; }
  const std::string& value_name(int value) const { return names_.at(static_cast<std::size_t>(value)); }

  // ---- for the operations: of the node at hand ----

  const std::string& input(std::size_t i = 0) const { return value_name(node_->inputs[i]); }
  std::vector<std::string> inputs() const;
  const Shape& x() const { return shape_of(node_->inputs[0]); }
  const Shape& y() const { return shape_of(node_->output); }
  /// Adds an initializer and returns its name, "features.0.weight" for "weight". Of a tensor of floats, of integers in one
  /// dimension, or of one float.
  std::string tensor(std::string_view part, const Tensor& values);
  std::string integers(std::string_view part, const std::vector<std::int64_t>& values);
  std::string scalar(std::string_view part, double value);
  /// Adds an ONNX node and returns the name of what it makes.
  std::string step(std::string_view part, std::string_view type, const std::vector<std::string>& inputs,
                   const Attributes& attributes = {});
  /// Adds the last ONNX node, which makes the value that the node makes.
  void last(std::string_view type, const std::vector<std::string>& inputs, const Attributes& attributes = {});

 private:
  const Shape& shape_of(int value) const { return graph_.values.at(static_cast<std::size_t>(value)); }
  std::string joined_path(std::string_view part) const;
  void emit(std::string_view type, std::string_view part, const std::vector<std::string>& inputs, const std::string& output,
            const Attributes& attributes);

  const ModelGraph& graph_;
  const ModelGraph::Node* node_ = nullptr;
  std::vector<std::string> names_;                   // of the graph's values
  std::set<std::string> taken_names_, taken_nodes_;  // of values and initializers; of nodes
  std::vector<protobuf::WireWriter> nodes_;
  std::vector<Initializer> initializers_;
};

/// Makes the ONNX nodes of an operation, see operations.cpp and pools.cpp.
void write(const op::Conv2d& op, GraphWriter& to);
void write(const op::Linear& op, GraphWriter& to);
void write(const op::BatchNorm2d& op, GraphWriter& to);
void write(const op::GroupNorm& op, GraphWriter& to);
void write(const Activation& op, GraphWriter& to);
void write(const op::MaxPool2d& op, GraphWriter& to);
void write(const op::AvgPool2d& op, GraphWriter& to);
void write(const op::AdaptiveAvgPool2d& op, GraphWriter& to);
void write(const op::AdaptiveMaxPool2d& op, GraphWriter& to);
void write(const op::Upsample& op, GraphWriter& to);
void write(const op::Flatten& op, GraphWriter& to);
void write(const op::Softmax& op, GraphWriter& to);
void write(const op::Add& op, GraphWriter& to);
void write(const op::Concat& op, GraphWriter& to);

}  // namespace gpucnn::onnx
