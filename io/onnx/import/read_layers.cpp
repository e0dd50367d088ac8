#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/io/onnx/import/graph_reader.h>
#include <gpucnn/io/onnx/import/transposed.h>

/// Nodes with weights: convolutions, products of matrices, norms. https://github.com/onnx/onnx/blob/main/docs/Operators.md
namespace gpucnn::onnx {
namespace {

/// PyTorch's padding for `auto_pad`: as much as keeps ceil(size / stride) windows.
std::pair<int, int> same_padding(std::int64_t size, std::int64_t extent, std::int64_t stride, bool more_behind) {
  const std::int64_t windows = (size + stride - 1) / stride;
  const auto all = static_cast<int>(std::clamp<std::int64_t>((windows - 1) * stride + extent - size, 0, 1 << 20));
  return more_behind ? std::pair(all / 2, all - all / 2) : std::pair(all - all / 2, all / 2);
}

void read_conv(GraphReader& from) {
  const int x = from.value(0);
  op::Conv2d conv{{.kernel_size = 1}, from.tensor(1), {}};
  from.require(conv.weight.rank() == 4 && from.shape(x).rank() == 4, "a convolution of images, with a weight of 4 dimensions",
               conv.weight.shape().string());
  Conv2dOptions& o = conv.options;
  const auto pair = [&](std::string_view name) {
    const std::vector<std::int64_t> two = from.integers(name, {1, 1});
    from.require(two.size() == 2, formatted("{} of 2 numbers", name), formatted("{}", two.size()));
    return Size2{from.narrow(two[0]), from.narrow(two[1])};
  };
  o.kernel_size = {from.narrow(conv.weight.dim(2)), from.narrow(conv.weight.dim(3))};
  from.require(!from.has("kernel_shape") || pair("kernel_shape") == o.kernel_size, "the weight's kernel_shape", "another");
  o.stride = pair("strides");
  o.dilation = pair("dilations");
  o.groups = from.narrow(from.integer("group", 1));
  const std::vector<std::int64_t> pads = from.integers("pads", {0, 0, 0, 0});
  from.require(pads.size() == 4, "pads of 4 numbers", formatted("{}", pads.size()));
  o.padding = Sides{from.narrow(pads[0]), from.narrow(pads[2]), from.narrow(pads[1]), from.narrow(pads[3])};
  const std::string_view mode = from.text("auto_pad", "NOTSET");
  from.require(mode == "NOTSET" || o.padding == Sides{}, "pads or an auto_pad", "both");
  if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
    from.require(o.stride.height > 0 && o.stride.width > 0, "positive strides", "others");
    const auto extent = [](int kernel, int dilation) { return std::int64_t{kernel - 1} * dilation + 1; };
    const bool behind = mode == "SAME_UPPER";
    const Shape& shape = from.shape(x);
    const auto [top, bottom] = same_padding(shape[2], extent(o.kernel_size.height, o.dilation.height), o.stride.height, behind);
    const auto [left, right] = same_padding(shape[3], extent(o.kernel_size.width, o.dilation.width), o.stride.width, behind);
    o.padding = Sides{top, bottom, left, right};
  } else {
    from.require(mode == "NOTSET" || mode == "VALID", "auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER", "another");
  }
  o.bias = from.has_input(2);
  if (o.bias) conv.bias = from.channels(2, conv.weight.dim(0));
  from.add(std::move(conv), {x});
}

Tensor scaled(const Tensor& tensor, double factor) {
  if (factor == 1) return tensor;
  std::vector<float> values = tensor.to_vector<float>();
  for (float& value : values) value = static_cast<float>(double{value} * factor);
  return Tensor::from(values, tensor.shape());
}

void read_product(GraphReader& from, bool is_gemm) {
  const int x = from.value(0);
  Tensor weight = from.tensor(1);
  from.require(weight.rank() == 2 && from.shape(x).rank() == 2, "a product of [N, features] and a matrix", weight.shape().string());
  from.require(from.integer("transA", 0) == 0, "transA of 0", "another");
  if (!is_gemm || from.integer("transB", 0) == 0) weight = transposed(weight);
  op::Linear linear{is_gemm ? scaled(weight, from.real("alpha", 1)) : weight, {}};
  const double beta = from.real("beta", 1);
  if (is_gemm && from.has_input(2)) {
    const std::int64_t features = weight.dim(0);
    from.require(from.is_per_channel(2, {from.shape(x)[0], features}), formatted("a bias [{}]", features), "another shape");
    linear.bias = scaled(from.tensor(2).view(0, {features}), beta);
  }
  from.add(std::move(linear), {x});
}

/// That the value is an image, and its channels.
std::int64_t channels_of(const GraphReader& from, int x) {
  from.require(from.shape(x).rank() == 4, "[N, C, H, W]", from.shape(x).string());
  return from.shape(x)[1];
}

void read_batch_norm(GraphReader& from) {
  const int x = from.value(0);
  const std::int64_t C = channels_of(from, x);
  from.require(from.integer("training_mode", 0) == 0, "a norm in inference mode; export with model.eval()", "one in training mode");
  const auto& outputs = from.node().outputs;
  const bool learns = std::any_of(outputs.begin() + 1, outputs.end(), [](std::string_view name) { return !name.empty(); });
  from.require(from.operator_set() >= 14 || !learns, "a norm in inference mode; export with model.eval()",
               "outputs for the statistics, as in training mode");
  from.require(from.integer("spatial", 1) == 1, "spatial 1, statistics of channels", "another");
  from.add(op::BatchNorm2d{from.real("epsilon", 1e-5), from.channels(1, C), from.channels(2, C), from.channels(3, C),
                           from.channels(4, C)},
           {x});
}

/// Whether all elements of input `i` are `expected`.
bool is_full_of(GraphReader& from, std::size_t i, float expected) {
  return std::ranges::all_of(from.tensor(i).to_vector<float>(), [&](float value) { return value == expected; });
}

void read_instance_norm(GraphReader& from) {
  const double eps = from.real("epsilon", 1e-5);
  if (const auto* grouped = from.symbol_as<Grouped>(0)) {
    from.require(!grouped->eps && is_full_of(from, 1, 1) && is_full_of(from, 2, 0), "a norm of groups without weights of its own",
                 "one with weights");
    return from.set(Grouped{grouped->value, grouped->groups, eps});
  }
  if (const auto* by_channel = from.symbol_as<ByChannel>(0)) {
    from.require(by_channel->one_image && !by_channel->norm, "a norm of all images", "another");
    const std::int64_t C = channels_of(from, by_channel->value);
    return from.set(ByChannel{by_channel->value, true, op::BatchNorm2d{eps, from.channels(1, C), from.channels(2, C), {}, {}}});
  }
  const int x = from.value(0);
  const std::int64_t C = channels_of(from, x);
  from.add(op::GroupNorm{from.narrow(C), eps, from.channels(1, C), from.channels(2, C)}, {x});
}

void read_group_norm(GraphReader& from) {
  const int x = from.value(0);
  const std::int64_t C = channels_of(from, x);
  from.require(from.operator_set() >= 21, "GroupNormalization of operator set 21 or later", formatted("{}", from.operator_set()));
  from.add(op::GroupNorm{from.narrow(from.integer("num_groups", 0)), from.real("epsilon", 1e-5), from.channels(1, C),
                         from.channels(2, C)},
           {x});
}

}  // namespace

bool read_layer(std::string_view type, GraphReader& from) {
  if (type == "Conv") return read_conv(from), true;
  if (type == "Gemm") return read_product(from, true), true;
  if (type == "MatMul") return read_product(from, false), true;
  if (type == "BatchNormalization") return read_batch_norm(from), true;
  if (type == "InstanceNormalization") return read_instance_norm(from), true;
  if (type == "GroupNormalization") return read_group_norm(from), true;
  return false;
}

}  // namespace gpucnn::onnx
