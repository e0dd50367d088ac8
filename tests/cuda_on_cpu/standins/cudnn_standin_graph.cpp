#include <algorithm>

#include "cudnn_standin.h"

// What finalising checks: that a descriptor is complete, that its values are such as cuDNN takes, and that they fit together.
namespace gpucnn::cudnn_standin {
namespace {

bool is_virtual(const Node& tensor) { return tensor.one(CUDNN_ATTR_TENSOR_IS_VIRTUAL, false); }
std::int64_t uid_of(const Node& tensor) { return tensor.one<std::int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID); }

cudnnDataType_t type_of(const Node& tensor) { return tensor.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE); }
bool is_bf16(const Node& tensor) { return type_of(tensor) == CUDNN_DATA_BFLOAT16; }

Extents extents_of(const Node& tensor) {
  const auto d = tensor.all<std::int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
  return {d[0], d[1], d[2], d[3]};
}

void require_f32(const Node& node, Name name) {
  require(node.one<cudnnDataType_t>(name) == CUDNN_DATA_FLOAT, "a type other than f32", CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE);
}

void check_tensor(const Node& tensor) {
  require(is_bf16(tensor) || type_of(tensor) == CUDNN_DATA_FLOAT, "a type other than f32 and bf16",
          CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE);
  const auto [N, C, H, W] = extents_of(tensor);
  require(std::min({N, C, H, W}) >= 1, "an extent below 1");
  const std::vector<std::int64_t> channels_last{H * W * C, 1, W * C, C};
  require(tensor.all<std::int64_t>(CUDNN_ATTR_TENSOR_STRIDES) == channels_last, "strides other than channels-last",
          CUDNN_STATUS_NOT_SUPPORTED_LAYOUT);
  const auto alignment = tensor.one<std::int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
  require(alignment >= 1 && (alignment & (alignment - 1)) == 0, "an alignment that is no power of two");
}

void check_convolution(const Node& convolution) {
  require_f32(convolution, CUDNN_ATTR_CONVOLUTION_COMP_TYPE);
  require(convolution.one<std::int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) == 2, "not two spatial dimensions");
  require(convolution.one<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) == CUDNN_CROSS_CORRELATION,
          "a convolution with a flipped window", CUDNN_STATUS_NOT_SUPPORTED);
  const auto least = [&](Name name) { return std::ranges::min(convolution.all<std::int64_t>(name)); };
  require(least(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS) >= 0 && least(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS) >= 0, "a padding below 0");
  require(least(CUDNN_ATTR_CONVOLUTION_DILATIONS) >= 1, "a dilation below 1");
  require(least(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES) >= 1, "a stride below 1");
}

void check_addition(const Node& operation) {
  const Node& mode = *operation.node(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
  require(mode.one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE) == CUDNN_POINTWISE_ADD, "a pointwise mode other than ADD",
          CUDNN_STATUS_NOT_SUPPORTED);
  require_f32(mode, CUDNN_ATTR_POINTWISE_MATH_PREC);
  const Extents x = extents_of(*operation.node(CUDNN_ATTR_OPERATION_POINTWISE_XDESC));
  require(x == extents_of(*operation.node(CUDNN_ATTR_OPERATION_POINTWISE_YDESC)), "x and y of other shapes",
          CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
  require(extents_of(*operation.node(CUDNN_ATTR_OPERATION_POINTWISE_BDESC)) == Extents{1, x.C, 1, 1},
          "a second operand other than a bias", CUDNN_STATUS_NOT_SUPPORTED_SHAPE);
}

bool is_convolution(Kind kind) {
  return kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ||
         kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ||
         kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
}

/// A convolution operation, and its tensors in the order x, weight, y.
struct Operation {
  Convolution convolution;
  std::array<std::shared_ptr<const Node>, 3> tensors;
};

/// Reads a convolution operation and checks that its shapes fit.
Operation read(const Node& operation) {
  const auto& names = attributes_of(operation.kind);
  const Node& options = *operation.node(names[0].name);
  const auto pair = [&](Name name) {
    const auto values = options.all<std::int64_t>(name);
    return std::array{values[0], values[1]};
  };
  Operation made;
  for (std::size_t i = 0; i < 3; ++i) made.tensors[i] = operation.node(names[i + 1].name);
  Convolution& c = made.convolution;
  c.pass = operation.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR         ? Convolution::Pass::forward
           : operation.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ? Convolution::Pass::backward_data
                                                                                            : Convolution::Pass::backward_weights;
  c.x = extents_of(*made.tensors[0]), c.weight = extents_of(*made.tensors[1]), c.y = extents_of(*made.tensors[2]);
  c.padding = pair(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
  c.stride = pair(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
  c.dilation = pair(CUDNN_ATTR_CONVOLUTION_DILATIONS);
  c.alpha = operation.one<float>(names[4].name), c.beta = operation.one<float>(names[5].name);
  const auto after = pair(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS);
  const auto outputs = [&](std::size_t i, std::int64_t size, std::int64_t window) {
    return (size + c.padding[i] + after[i] - c.dilation[i] * (window - 1) - 1) / c.stride[i] + 1;
  };
  const bool grouped = c.x.C % c.weight.C == 0 && c.y.C % (c.x.C / c.weight.C) == 0;
  require(grouped && c.y == Extents{c.x.N, c.weight.N, outputs(0, c.x.H, c.weight.H), outputs(1, c.x.W, c.weight.W)},
          "x, weight and y do not fit", CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
  return made;
}

/// A convolution, or a forward one to a tensor without memory and a bias that is added to it.
void finish_graph(Node& graph) {
  const auto& operations = graph.nodes(CUDNN_ATTR_OPERATIONGRAPH_OPS);
  const auto use = [&](std::size_t place, const std::shared_ptr<const Node>& tensor) {
    require(!is_virtual(*tensor), "a virtual tensor that only one operation names", CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN);
    require(is_bf16(*tensor) == graph.convolution.bf16, "tensors of several types", CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE);
    graph.uids[place] = uid_of(*tensor);
    require(graph.uids[place] != 0 && graph.tensors.emplace(graph.uids[place], tensor).second, "two tensors of one uid",
            CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES);
  };
  require(is_convolution(operations[0]->kind), "a graph that begins with no convolution", CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN);
  const Operation convolution = read(*operations[0]);
  graph.convolution = convolution.convolution;
  graph.convolution.bf16 = is_bf16(*convolution.tensors[0]);
  use(0, convolution.tensors[0]);
  use(1, convolution.tensors[1]);
  if (operations.size() == 1) return use(3, convolution.tensors[2]);
  const Node& add = *operations[1];
  const bool adds = add.kind == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR &&
                    operations[0]->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR &&
                    add.node(CUDNN_ATTR_OPERATION_POINTWISE_XDESC) == convolution.tensors[2] && is_virtual(*convolution.tensors[2]);
  require(adds && graph.convolution.beta == 0 && !is_bf16(*convolution.tensors[2]),
          "a second operation that adds no bias to the first one's result", CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN);
  use(2, add.node(CUDNN_ATTR_OPERATION_POINTWISE_BDESC));
  use(3, add.node(CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
  graph.convolution.adds = true;
  graph.convolution.alpha_sum = add.one(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, 1.0F);
  graph.convolution.alpha_bias = add.one(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, 1.0F);
}

/// The context that a graph was made for.
cudnnHandle_t handle_of(const Node& graph) { return graph.one<cudnnHandle_t>(CUDNN_ATTR_OPERATIONGRAPH_HANDLE); }

void finish_plan(Node& plan) {
  const Node& choice = *plan.node(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  require(kEngines[choice.engine].plannable, "an engine that cannot be planned", CUDNN_STATUS_NOT_SUPPORTED_ARCH_MISMATCH);
  plan.engine = choice.engine;
  plan.convolution = choice.convolution;
  plan.convolution.rounds_to_tf32 = choice.engine == kTensorCores;
  plan.tensors = choice.tensors;
  plan.uids = choice.uids;
}

}  // namespace

void finalize(Node& node) {
  require(!node.finalized, "a descriptor is finalised twice");
  for (const Attribute& attribute : attributes_of(node.kind)) {
    require(!attribute.required || node.has(attribute.name), "attribute " + std::to_string(attribute.name) + " is not set");
  }
  switch (node.kind) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR: check_tensor(node); break;
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR: check_convolution(node); break;
    case CUDNN_BACKEND_POINTWISE_DESCRIPTOR: break;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: check_addition(node); break;
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
      use(handle_of(node));
      finish_graph(node);
      break;
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR: {
      const auto mode = node.one<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE);
      use(handle_of(*node.node(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)));
      require(mode == CUDNN_HEUR_MODE_A || mode == CUDNN_HEUR_MODE_B || mode == CUDNN_HEUR_MODE_FALLBACK, "a mode of heuristics");
      break;
    }
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
      use(node.one<cudnnHandle_t>(CUDNN_ATTR_EXECUTION_PLAN_HANDLE));
      finish_plan(node);
      break;
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
      require(node.all<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS).size() ==
                  node.all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS).size(),
              "more uids than pointers, or fewer");
      break;
    default: require(is_convolution(node.kind), "a descriptor that only cuDNN fills in is finalised"); read(node);
  }
  node.finalized = true;
}

}  // namespace gpucnn::cudnn_standin
