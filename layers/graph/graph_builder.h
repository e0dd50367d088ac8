#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/layers/graph/model_graph.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// Receives what modules compute, in the order of execution. A module's `add_to` gets the number of its input, and returns that of
/// its output:
///
///     int Shrink::add_to(GraphBuilder& graph, int x) const { return graph.add(*this, op::AvgPool2d{{.kernel_size = 2}}, x); }
class GPUCNN_API GraphBuilder {
 public:
  /// See graph_of.
  static ModelGraph of(const Module& model, const Shape& x);

  /// The node of a layer that is one operation; y has the shape that the layer says.
  int add(const Module& layer, Op op, int x);
  /// One node of a layer with several, or with several inputs. `part` distinguishes the nodes: "add". It may be empty. `y` is the
  /// shape of what the node makes.
  int add(const Module& layer, std::string_view part, Op op, std::vector<int> inputs, const Shape& y);
  /// What a module inside the one at hand computes of value x.
  int add(const Module& child, int x) { return child.add_to(*this, x); }

  /// The shape of a value.
  const Shape& shape(int value) const { return graph_.values.at(static_cast<std::size_t>(value)); }
  /// The values of a parameter for a node, on the CPU; undefined without one.
  static Tensor tensor(const Parameter& parameter);
  static Tensor tensor(const Tensor& buffer);

 private:
  explicit GraphBuilder(const Shape& x) { graph_.values.push_back(x); }

  ModelGraph graph_;
  std::set<std::string> paths_;
};

}  // namespace gpucnn
