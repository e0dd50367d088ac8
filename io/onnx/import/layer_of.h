#pragma once

#include <memory>

#include <gpucnn/core/shape.h>
#include <gpucnn/layers/graph/op.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn::onnx {

/// The layer that computes an operation of one input, of shape x, without values. Throws `std::invalid_argument` if there is none:
/// for Add, Concat, and options that the layer refuses.
std::unique_ptr<Module> layer_of(const Op& op, const Shape& x);

/// The same with the operation's values.
std::unique_ptr<Module> filled_layer_of(const Op& op, const Shape& x);

}  // namespace gpucnn::onnx
