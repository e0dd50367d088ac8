#pragma once

#include <string>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/layers/graph/op.h>

namespace gpucnn {

class Module;

/// What a model computes in `predict`, as a list of operations for exporters. Layers that do nothing then, as Dropout and Identity,
/// are left out.
struct GPUCNN_API ModelGraph {
  /// One operation.
  struct Node {
    /// The layer's path in the model, as "features.0": PyTorch's names of its tensors are this, a dot, and "weight" or the like. No
    /// two nodes have the same. Of a layer with several nodes, it has a word for each: "layer1.0.add". Empty only for a model that
    /// is one layer.
    std::string path;
    Op op;
    std::vector<int> inputs;  ///< numbers of values: one; two of Add; two or more of Concat
    int output;               ///< the number of the value that it makes
  };

  std::vector<Shape> values;  ///< the shape of each value, by its number. Number 0 is the input; a node makes each of the others.
  std::vector<Node> nodes;    ///< in the order of execution: a node's inputs are made before it
  int output = 0;             ///< the number of the network's output

  /// Lets each Conv2d do the work of the BatchNorm2d behind it, where that alone reads what it makes and has running statistics.
  /// With s = weight / sqrt(running_var + eps) of the output channel, the convolution's weight becomes weight * s, and its bias
  /// (bias - running_mean) * s + the norm's bias. Computed in double and rounded once. Ioffe and Szegedy, "Batch Normalization"
  /// (2015), section 3.1. A norm stays where a number that is not finite would come of it.
  void fold_batch_norm();

  /// Gives the values that nodes make the numbers 1, 2, … in the order of the nodes, and forgets the others.
  void renumber();
};

/// The graph of a model for an input of shape x, as [1, 3, 32, 32]. Tensors share memory with a model on the CPU, and are copies of
/// another's. Throws `std::invalid_argument` that names the layer if x does not fit, and `std::logic_error` that names the layer
/// for a class that does not override `Module::add_to`.
GPUCNN_API ModelGraph graph_of(const Module& model, const Shape& x);

}  // namespace gpucnn
