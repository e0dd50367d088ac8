#include <gpucnn/io/onnx/import/layer_of.h>

#include <stdexcept>
#include <string_view>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/layers/activation/gelu.h>
#include <gpucnn/layers/activation/hardswish.h>
#include <gpucnn/layers/activation/leaky_relu.h>
#include <gpucnn/layers/activation/mul.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/activation/relu6.h>
#include <gpucnn/layers/activation/sigmoid.h>
#include <gpucnn/layers/activation/silu.h>
#include <gpucnn/layers/activation/softmax.h>
#include <gpucnn/layers/activation/tanh.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/identity.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/norm/group_norm.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/avg_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/layers/pool/upsample.h>

namespace gpucnn::onnx {
namespace {

using Made = std::unique_ptr<Module>;

int narrow(std::int64_t extent) {
  if (!std::in_range<int>(extent)) throw std::invalid_argument(formatted("a dimension of {} is too large", extent));
  return static_cast<int>(extent);
}

int extent(const Tensor& tensor, int dim) { return narrow(tensor.dim(dim)); }

int channels(const Shape& x) {
  if (x.rank() != 4) throw std::invalid_argument(formatted("expects [N, C, H, W], got {}", x.string()));
  return narrow(x[1]);
}

Made make(const op::Conv2d& op, const Shape&) {
  return std::make_unique<Conv2d>(narrow(op.weight.dim(1) * op.options.groups), extent(op.weight, 0), op.options);
}
Made make(const op::Linear& op, const Shape&) {
  return std::make_unique<Linear>(extent(op.weight, 1), extent(op.weight, 0), LinearOptions{.bias = op.bias.defined()});
}
Made make(const op::BatchNorm2d& op, const Shape& x) {
  const BatchNorm2dOptions options{.eps = op.eps, .affine = op.weight.defined(), .track_running_stats = op.running_mean.defined()};
  return std::make_unique<BatchNorm2d>(channels(x), options);
}
Made make(const op::GroupNorm& op, const Shape& x) {
  return std::make_unique<GroupNorm>(op.num_groups, channels(x), GroupNormOptions{.eps = op.eps, .affine = op.weight.defined()});
}
Made make(const op::MaxPool2d& op, const Shape&) {
  const kernels::Pool2d& o = op.options;
  return std::make_unique<MaxPool2d>(MaxPool2dOptions{o.kernel_size, o.stride, o.padding, o.dilation, o.ceil_mode});
}
Made make(const op::AvgPool2d& op, const Shape&) { return std::make_unique<AvgPool2d>(op.options); }
Made make(const op::AdaptiveAvgPool2d& op, const Shape&) { return std::make_unique<AdaptiveAvgPool2d>(op.output_size); }
Made make(const op::AdaptiveMaxPool2d& op, const Shape&) { return std::make_unique<AdaptiveMaxPool2d>(op.output_size); }
Made make(const op::Upsample& op, const Shape&) { return std::make_unique<Upsample>(op.scale_factor); }
Made make(const op::Flatten&, const Shape&) { return std::make_unique<Flatten>(); }
Made make(const op::Softmax&, const Shape&) { return std::make_unique<Softmax>(); }
Made make(const op::Add&, const Shape&) { throw std::invalid_argument("a sum is no layer of one input"); }
Made make(const op::Concat&, const Shape&) { throw std::invalid_argument("Concat is no layer of one input"); }

Made make(const Activation& op, const Shape&) {
  switch (op.kind) {
    case Activation::none: return std::make_unique<Identity>();
    case Activation::relu: return std::make_unique<ReLU>();
    case Activation::leaky_relu: return std::make_unique<LeakyReLU>(double{op.negative_slope});
    case Activation::relu6: return std::make_unique<ReLU6>();
    case Activation::gelu: return std::make_unique<GELU>();
    case Activation::gelu_tanh: return std::make_unique<GELU>("tanh");
    case Activation::silu: return std::make_unique<SiLU>();
    case Activation::hardswish: return std::make_unique<Hardswish>();
    case Activation::sigmoid: return std::make_unique<Sigmoid>();
    case Activation::tanh: return std::make_unique<Tanh>();
    case Activation::scaled: return std::make_unique<Mul>(double{op.factor});
  }
  return nullptr;
}

/// The tensors of an operation by their names in the layer.
struct Fill final : Members {
  Tensor weight, bias, running_mean, running_var;

  void operator()(std::string_view name, Parameter& parameter) override {
    if (parameter.defined()) parameter.set_value(name == "weight" ? weight : bias);
  }
  void operator()(std::string_view name, Tensor& buffer) override {
    if (name == "running_mean" && buffer.defined()) buffer.copy_from(running_mean);
    if (name == "running_var" && buffer.defined()) buffer.copy_from(running_var);
  }
  void operator()(std::string_view, Module&) override {}
};

template <class Operation>
Fill fill_of(const Operation& op) {
  Fill fill;
  if constexpr (requires { op.weight, op.bias; }) {
    fill.weight = op.weight;
    fill.bias = op.bias;
  }
  if constexpr (requires { op.running_mean, op.running_var; }) {
    fill.running_mean = op.running_mean;
    fill.running_var = op.running_var;
  }
  return fill;
}

}  // namespace

std::unique_ptr<Module> layer_of(const Op& op, const Shape& x) {
  return std::visit([&x](const auto& each) { return make(each, x); }, op);
}

std::unique_ptr<Module> filled_layer_of(const Op& op, const Shape& x) {
  std::unique_ptr<Module> layer = layer_of(op, x);
  Fill fill = std::visit([](const auto& each) { return fill_of(each); }, op);
  layer->members(fill);
  return layer;
}

}  // namespace gpucnn::onnx
