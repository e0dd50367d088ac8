#pragma once

#include <cstdint>
#include <optional>

#include <gpucnn/core/precision.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/kernels/conv/conv2d_options.h>
#include <gpucnn/kernels/vendor/cudnn.h>

/// Convolutions as graphs of cuDNN, and the choice of an engine for each: all of it needs no GPU.
namespace gpucnn::kernels::cudnn {

enum class Pass : std::uint8_t { forward, backward_data, backward_weights };

/// The sizes of one convolution: x: [N, C, H, W], weight: [K, C / groups, kH, kW], y: [N, K, Ho, Wo], all channels-last in memory
/// and, gradients too, of the precision's `activation_dtype`.
struct Convolution {
  Shape x, weight, y;
  Conv2dOptions options;
};

/// The names by which a variant pack gives tensors to a plan: x, weight, bias and y, or their gradients.
enum Uid : std::int64_t { kX = 1, kWeight, kBias, kY };

/// To so many bytes every tensor must be aligned.
inline constexpr std::int64_t kAlignment = 16;

/// Which GPU a plan is for: the one of this context, which stays locked meanwhile, or one that is only described.
struct Target {
  const Handle* handle = nullptr;
  const Descriptor* properties = nullptr;  ///< CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR
};

struct ExecutionPlan {
  Descriptor plan;
  std::int64_t workspace_bytes;
};

/// A plan of the first engine, in cuDNN's own order, that is deterministic, keeps to the precision and takes the convolution.
/// Nothing if there is none. The forward adds the bias if there is one.
std::optional<ExecutionPlan> execution_plan(Pass pass, const Convolution& convolution, Precision precision, const Target& target);

}  // namespace gpucnn::kernels::cudnn
