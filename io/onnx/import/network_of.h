#pragma once

#include <memory>

#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/graph/model_graph.h>

namespace gpucnn::onnx {

/// A network of layers that computes a graph and can be trained on, with the graph's values. Layers have the paths of their nodes
/// where these fit together, so that the network has the names that it came with, and are counted elsewhere. Values that are read
/// by several nodes become branches of Residual, ResidualBlock and Concat. Throws `std::invalid_argument` that names a node where
/// branches do not meet again in pairs, so that there is no such network.
std::unique_ptr<Sequential> network_of(const ModelGraph& graph);

}  // namespace gpucnn::onnx
