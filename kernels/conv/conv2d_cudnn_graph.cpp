#include <gpucnn/kernels/conv/conv2d_cudnn_graph.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

namespace gpucnn::kernels::cudnn {
namespace {

using Extents = std::array<std::int64_t, 4>;
using Pair = std::array<std::int64_t, 2>;

constexpr std::int64_t kVirtual = 100;  // uids of tensors between two operations, which have no memory

template <class T, std::size_t size>
std::span<const T> all_of(const std::array<T, size>& values) {
  return values;
}

/// A tensor with its channels last.
Descriptor tensor(std::int64_t uid, const Extents& extents, cudnnDataType_t type) {
  const auto [N, C, H, W] = extents;
  Descriptor made(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  made.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, uid);
  made.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
  made.set(CUDNN_ATTR_TENSOR_DIMENSIONS, all_of(extents));
  made.set(CUDNN_ATTR_TENSOR_STRIDES, all_of(Extents{H * W * C, 1, W * C, C}));
  made.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, kAlignment);
  if (uid >= kVirtual) made.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, true);
  made.finalize();
  return made;
}

Extents extents_of(const Shape& shape) { return {shape[0], shape[1], shape[2], shape[3]}; }

Descriptor describe(const Conv2dOptions& options) {
  const auto pair = [](Size2 size) { return Pair{size.height, size.width}; };
  Descriptor made(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  made.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2});
  made.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  made.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION);
  made.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, all_of(Pair{options.padding.top, options.padding.left}));
  made.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, all_of(Pair{options.padding.bottom, options.padding.right}));
  made.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, all_of(pair(options.dilation)));
  made.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, all_of(pair(options.stride)));
  made.finalize();
  return made;
}

/// An operation of the convolution itself. The three kinds differ in nothing but the names of their attributes.
Descriptor convolve(Pass pass, const Conv2dOptions& options, const Descriptor& x, const Descriptor& weight, const Descriptor& y) {
  struct Names {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t options, x, weight, y, alpha, beta;
  };
  static constexpr std::array<Names, 3> kNames{{
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
  }};
  const Names& names = kNames[static_cast<std::size_t>(pass)];
  Descriptor made(names.type);
  made.set(names.options, describe(options));
  made.set(names.x, x);
  made.set(names.weight, weight);
  made.set(names.y, y);
  made.set(names.alpha, 1.0F);
  made.set(names.beta, 0.0F);
  made.finalize();
  return made;
}

/// y = x + bias.
Descriptor add_bias(const Descriptor& x, const Descriptor& bias, const Descriptor& y) {
  Descriptor add(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  add.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_ADD);
  add.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  add.finalize();
  Descriptor made(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  made.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, add);
  made.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
  made.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, bias);
  made.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
  made.set(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, 1.0F);
  made.set(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, 1.0F);
  made.finalize();
  return made;
}

/// The operations of a pass; nothing if cuDNN knows no such graph.
std::optional<Descriptor> graph(Pass pass, const Convolution& c, Precision precision, const Target& target) {
  // All of one type: for weight gradients in f32 of activations in bf16, say, cuDNN has no engine.
  const cudnnDataType_t type = precision == Precision::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  const Extents y_extents = extents_of(c.y);
  const Descriptor x = tensor(kX, extents_of(c.x), type), weight = tensor(kWeight, extents_of(c.weight), type),
                   y = tensor(kY, y_extents, type);
  std::vector<Descriptor> operations;
  if (pass == Pass::forward && c.options.bias) {
    const Descriptor sums = tensor(kVirtual, y_extents, CUDNN_DATA_FLOAT), bias = tensor(kBias, {1, c.y[1], 1, 1}, type);
    operations.push_back(convolve(pass, c.options, x, weight, sums));
    operations.push_back(add_bias(sums, bias, y));
  } else {
    operations.push_back(convolve(pass, c.options, x, weight, y));
  }
  Descriptor made(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  if (target.handle) made.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, target.handle->get());
  made.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, std::span<const Descriptor>(operations));
  if (made.try_finalize() != CUDNN_STATUS_SUCCESS) return std::nullopt;
  return made;
}

/// Whether an engine gives the same bits in every run, of no less than the precision asked for.
bool allowed(const Descriptor& engine, Precision precision) {
  const auto notes = engine.get<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  return std::ranges::none_of(notes, [&](cudnnBackendNumericalNote_t note) {
    switch (note) {
      case CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC:
      case CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION: return true;
      case CUDNN_NUMERICAL_NOTE_TENSOR_CORE:
      case CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS:
      case CUDNN_NUMERICAL_NOTE_FFT:
      case CUDNN_NUMERICAL_NOTE_WINOGRAD:
        return precision == Precision::fp32;  // factors are rounded first, or a transform costs several bits
      default: return false;
    }
  });
}

}  // namespace

std::optional<ExecutionPlan> execution_plan(Pass pass, const Convolution& convolution, Precision precision, const Target& target) {
  const std::optional<Descriptor> operations = graph(pass, convolution, precision, target);
  if (!operations) return std::nullopt;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
    Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, *operations);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
    if (target.properties) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *target.properties);
    if (heuristics.try_finalize() != CUDNN_STATUS_SUCCESS) continue;
    const std::int64_t count = heuristics.count(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR);
    for (const Descriptor& choice : heuristics.get(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, count)) {
      const auto engines = choice.get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
      if (engines.empty() || !allowed(engines[0], precision)) continue;
      Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
      if (target.handle) plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, target.handle->get());
      if (target.properties) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *target.properties);
      plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, choice);
      if (plan.try_finalize() != CUDNN_STATUS_SUCCESS) continue;
      const auto bytes = plan.get<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 1);
      return ExecutionPlan{std::move(plan), bytes.at(0)};
    }
  }
  return std::nullopt;
}

}  // namespace gpucnn::kernels::cudnn
