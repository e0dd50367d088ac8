#include <cmath>
#include <numbers>
#include <utility>

#include <gpucnn/io/onnx/graph_writer.h>

/// What each operation but the poolings is in ONNX's operator set 17: https://github.com/onnx/onnx/blob/main/docs/Operators.md
namespace gpucnn::onnx {
namespace {

/// The values, or `otherwise` for each of `count` channels, in a shape of its own.
Tensor in_shape(const Tensor& values, float otherwise, const Shape& shape) {
  return values.defined() ? values.view(0, shape) : Tensor::full(shape, otherwise);
}

/// With the batch's own mean and variance of each channel: InstanceNormalization of all images as one of [C, N H W].
/// BatchNormalization does it in training mode only, which runtimes leave out.
void write_norm_of_batch(const op::BatchNorm2d& op, GraphWriter& to) {
  const Shape& x = to.x();
  const Shape channels{x[1]};
  const Attributes swapped = Attributes().integers("perm", {1, 0, 2, 3});
  const std::string by_channel = to.step("by_channel", "Transpose", {to.input()}, swapped);
  const std::string one_image = to.step("one_image", "Reshape", {by_channel, to.integers("one", {1, x[1], -1})});
  const std::string normalized =
      to.step("normalized", "InstanceNormalization",
              {one_image, to.tensor("weight", in_shape(op.weight, 1, channels)), to.tensor("bias", in_shape(op.bias, 0, channels))},
              Attributes().real("epsilon", op.eps));
  const std::string images = to.step("images", "Reshape", {normalized, to.integers("all", {x[1], -1, x[2], x[3]})});
  to.last("Transpose", {images}, swapped);
}

/// weight * x + bias in each channel.
void scale_channels(const std::string& x, const Tensor& weight, const Tensor& bias, GraphWriter& to) {
  const Shape channels{weight.numel(), 1, 1};
  const std::string scaled = to.step("scaled", "Mul", {x, to.tensor("weight", weight.view(0, channels))});
  to.last("Add", {scaled, to.tensor("bias", bias.view(0, channels))});
}

/// x (1 + erf(x / sqrt(2))) / 2: Gelu comes with operator set 20.
void write_gelu(GraphWriter& to) {
  const std::string scaled = to.step("scaled", "Div", {to.input(), to.scalar("sqrt2", std::numbers::sqrt2)});
  const std::string erf = to.step("erf", "Erf", {scaled});
  const std::string sum = to.step("sum", "Add", {erf, to.scalar("one", 1)});
  const std::string product = to.step("product", "Mul", {to.input(), sum});
  to.last("Mul", {product, to.scalar("half", 0.5)});
}

/// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, in the steps that PyTorch exports: OpenCV joins them.
void write_gelu_tanh(GraphWriter& to) {
  const std::string half = to.step("half", "Mul", {to.scalar("factor", 0.5), to.input()});
  const std::string cube = to.step("cube", "Pow", {to.input(), to.scalar("exponent", 3)});
  const std::string small = to.step("small", "Mul", {to.scalar("cubic", 0.044715), cube});
  const std::string inner = to.step("inner", "Add", {to.input(), small});
  const std::string scaled = to.step("scaled", "Mul", {to.scalar("linear", std::sqrt(2 / std::numbers::pi)), inner});
  const std::string tanh = to.step("tanh", "Tanh", {scaled});
  const std::string sum = to.step("sum", "Add", {to.scalar("one", 1), tanh});
  to.last("Mul", {half, sum});
}

}  // namespace

void write(const op::Conv2d& op, GraphWriter& to) {
  const Conv2dOptions& o = op.options;
  std::vector<std::string> inputs{to.input(), to.tensor("weight", op.weight)};
  if (op.bias.defined()) inputs.push_back(to.tensor("bias", op.bias));
  to.last("Conv", inputs,
          Attributes()
              .integers("dilations", {o.dilation.height, o.dilation.width})
              .integer("group", o.groups)
              .integers("kernel_shape", {o.kernel_size.height, o.kernel_size.width})
              .integers("pads", {o.padding.top, o.padding.left, o.padding.bottom, o.padding.right})
              .integers("strides", {o.stride.height, o.stride.width}));
}

void write(const op::Linear& op, GraphWriter& to) {
  std::vector<std::string> inputs{to.input(), to.tensor("weight", op.weight)};
  if (op.bias.defined()) inputs.push_back(to.tensor("bias", op.bias));
  to.last("Gemm", inputs, Attributes().real("alpha", 1).real("beta", 1).integer("transB", 1));
}

void write(const op::BatchNorm2d& op, GraphWriter& to) {
  if (!op.running_mean.defined()) return write_norm_of_batch(op, to);
  const Shape channels = op.running_mean.shape();
  to.last("BatchNormalization",
          {to.input(), to.tensor("weight", in_shape(op.weight, 1, channels)), to.tensor("bias", in_shape(op.bias, 0, channels)),
           to.tensor("running_mean", op.running_mean), to.tensor("running_var", op.running_var)},
          Attributes().real("epsilon", op.eps));
}

/// InstanceNormalization of [N, groups, the elements of a group]: GroupNormalization comes with operator set 18.
void write(const op::GroupNorm& op, GraphWriter& to) {
  const Shape& x = to.x();
  const Shape groups{op.num_groups};
  const std::string grouped = to.step("grouped", "Reshape", {to.input(), to.integers("groups", {0, op.num_groups, -1})});
  const std::string normalized =
      to.step("normalized", "InstanceNormalization",
              {grouped, to.tensor("ones", Tensor::full(groups, 1)), to.tensor("zeros", Tensor::zeros(groups))},
              Attributes().real("epsilon", op.eps));
  const std::string image = to.integers("image", {0, x[1], x[2], x[3]});
  if (!op.weight.defined()) return to.last("Reshape", {normalized, image});
  scale_channels(to.step("images", "Reshape", {normalized, image}), op.weight, op.bias, to);
}

void write(const Activation& op, GraphWriter& to) {
  switch (op.kind) {
    case Activation::none: return to.last("Identity", {to.input()});
    case Activation::relu: return to.last("Relu", {to.input()});
    case Activation::leaky_relu: return to.last("LeakyRelu", {to.input()}, Attributes().real("alpha", double{op.negative_slope}));
    case Activation::relu6: return to.last("Clip", {to.input(), to.scalar("min", 0), to.scalar("max", 6)});
    case Activation::gelu: return write_gelu(to);
    case Activation::gelu_tanh: return write_gelu_tanh(to);
    case Activation::silu: return to.last("Mul", {to.input(), to.step("sigmoid", "Sigmoid", {to.input()})});
    case Activation::hardswish: return to.last("HardSwish", {to.input()});
    case Activation::sigmoid: return to.last("Sigmoid", {to.input()});
    case Activation::tanh: return to.last("Tanh", {to.input()});
    case Activation::scaled: return to.last("Mul", {to.input(), to.scalar("factor", double{op.factor})});
  }
}

void write(const op::Upsample& op, GraphWriter& to) {
  const std::vector<float> scales{1, 1, static_cast<float>(op.scale_factor.height), static_cast<float>(op.scale_factor.width)};
  to.last("Resize", {to.input(), "", to.tensor("scales", Tensor::from(scales, {4}))},
          Attributes().text("coordinate_transformation_mode", "asymmetric").text("mode", "nearest").text("nearest_mode", "floor"));
}

void write(const op::Flatten&, GraphWriter& to) { to.last("Flatten", {to.input()}, Attributes().integer("axis", 1)); }

void write(const op::Softmax&, GraphWriter& to) { to.last("Softmax", {to.input()}, Attributes().integer("axis", 1)); }

void write(const op::Add&, GraphWriter& to) { to.last("Add", {to.input(0), to.input(1)}); }

void write(const op::Concat&, GraphWriter& to) { to.last("Concat", to.inputs(), Attributes().integer("axis", 1)); }

}  // namespace gpucnn::onnx
