#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <variant>
#include <vector>

#include <gpucnn/io/onnx/import/expression.h>
#include <gpucnn/io/onnx/import/messages.h>
#include <gpucnn/layers/graph/op.h>

/// What a name in an ONNX graph stands for while it is read.
namespace gpucnn::onnx {

/// A value of the ModelGraph, by its number.
struct Value {
  int number;
};

/// A function of each element of such a value. It becomes a node where something else than a pointwise node reads it.
struct Pointwise {
  int value;
  Expression::Pointer function;
  const NodeMessage* node;  // the last one of it
};

/// A tensor of the file, with dimensions of its own: Unsqueeze gives it others. Or the transpose of that, a matrix.
struct Constant {
  const TensorMessage* tensor;
  std::vector<std::int64_t> dims;
  bool transposed = false;
};

/// A shape, or part of one. The number of images is kBatch.
struct Sizes {
  std::vector<std::int64_t> numbers;
};
inline constexpr std::int64_t kBatch = std::numeric_limits<std::int64_t>::min();

/// [N, C, H, W] as [N, groups, the elements of a group], as it was or with each group normalized: what GroupNorm is made of.
struct Grouped {
  int value;
  int groups;
  std::optional<double> eps;  // of the norm
};

/// [N, C, H, W] as [C, N, H, W], then as [1, C, N H W], and then with each channel normalized: what a BatchNorm2d with the
/// statistics of the batch is made of.
struct ByChannel {
  int value;
  bool one_image = false;
  std::optional<op::BatchNorm2d> norm = std::nullopt;
};

using Symbol = std::variant<Value, Pointwise, Constant, Sizes, Grouped, ByChannel>;

}  // namespace gpucnn::onnx
