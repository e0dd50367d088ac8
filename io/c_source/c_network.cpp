#include <gpucnn/io/c_source/c_network.h>

#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <variant>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/c_source/buffer_plan.h>
#include <gpucnn/io/c_source/c_text.h>

namespace gpucnn {
namespace {

/// The rows or columns of [1, C, H, W]; 1 where there are none.
std::int64_t extent(const Shape& shape, int dim) { return shape.rank() > dim ? shape[dim] : 1; }

/// What stands behind the first dimension of [1, C].
std::int64_t pixels(const Shape& shape) { return shape.numel() / shape[1]; }

/// Visits the operations of a graph in order. `operator()` of each writes its call.
class Writer {
 public:
  Writer(const ModelGraph& graph, const std::string& prefix) : graph_(graph), prefix_(prefix), plan_(plan_buffers(graph)) {}

  CNetwork write() {
    network_.floats = plan_.floats;
    for (const ModelGraph::Node& node : graph_.nodes) {
      node_ = &node;
      x_ = &shape(node.inputs[0]);
      y_ = &shape(node.output);
      std::visit(*this, node.op);
    }
    if (place(graph_.output).where == BufferPlan::Where::input) {
      call("copy", formatted("{}, input, output", shape(graph_.output).numel()), "The input, as it is");
    }
    return std::move(network_);
  }

  void operator()(const op::Conv2d& conv) {
    const Conv2dOptions& o = conv.options;
    const std::string window =
        window_of({o.kernel_size, o.stride, o.dilation}, o.padding.before()) + formatted(", .groups = {}", o.groups);
    call("conv2d",
         formatted("{}, {}, {}, {}, {}", compound(window), x(), constant("weight", conv.weight), constant("bias", conv.bias), y()),
         "Conv2d");
  }

  void operator()(const op::Linear& linear) {
    call("linear",
         formatted("{}, {}, {}, {}, {}, {}", x_->numel(), y_->numel(), x(), constant("weight", linear.weight),
                   constant("bias", linear.bias), y()),
         "Linear");
  }

  void operator()(const op::BatchNorm2d& norm) {
    if (!norm.running_mean.defined()) return normalize(extent(*x_, 1), norm.eps, norm.weight, norm.bias, "BatchNorm2d");
    const std::vector<float> mean = values_of("running_mean", norm.running_mean), var = values_of("running_var", norm.running_var);
    std::vector<float> scale(mean.size(), 1), shift(mean.size(), 0);
    if (norm.weight.defined()) scale = values_of("weight", norm.weight);
    if (norm.bias.defined()) shift = values_of("bias", norm.bias);
    for (std::size_t c = 0; c < mean.size(); ++c) {
      const double s = double{scale[c]} / std::sqrt(double{var[c]} + norm.eps);
      shift[c] = static_cast<float>(double{shift[c]} - double{mean[c]} * s);
      scale[c] = static_cast<float>(s);
    }
    const std::string scales = constant("scale", std::move(scale)), shifts = constant("shift", std::move(shift));
    call("scale_shift", formatted("{}, {}, {}, {}, {}, {}", extent(*x_, 1), pixels(*x_), scales, shifts, x(), y()), "BatchNorm2d");
  }

  void operator()(const op::GroupNorm& norm) { normalize(norm.num_groups, norm.eps, norm.weight, norm.bias, "GroupNorm"); }

  void operator()(const Activation& function) {
    const std::int64_t count = x_->numel();
    const std::string all = formatted("{}, {}, {}", count, x(), y());
    const auto with = [&](float parameter) { return formatted("{}, {}, {}, {}", count, number(parameter), x(), y()); };
    switch (function.kind) {
      case Activation::none: return;
      case Activation::relu: return call("relu", all, "ReLU");
      case Activation::leaky_relu: return call("leaky_relu", with(function.negative_slope), "LeakyReLU");
      case Activation::relu6: return call("relu6", all, "ReLU6");
      case Activation::gelu: return call("gelu", all, "GELU");
      case Activation::gelu_tanh: return call("gelu_tanh", all, "GELU by tanh");
      case Activation::silu: return call("silu", all, "SiLU");
      case Activation::hardswish: return call("hardswish", all, "Hardswish");
      case Activation::sigmoid: return call("sigmoid", all, "Sigmoid");
      case Activation::tanh: return call("tanh", all, "Tanh");
      case Activation::scaled: return call("scale", with(function.factor), "Mul");
    }
  }

  void operator()(const op::MaxPool2d& pool) {
    const kernels::Pool2d& o = pool.options;
    call("max_pool2d", formatted("{}, {}, {}", compound(window_of({o.kernel_size, o.stride, o.dilation}, o.padding)), x(), y()),
         "MaxPool2d");
  }

  void operator()(const op::AvgPool2d& pool) {
    const AvgPool2dOptions& o = pool.options;
    const std::string window = compound(window_of({o.kernel_size, o.stride.value_or(o.kernel_size), 1}, o.padding));
    call("avg_pool2d",
         formatted("{}, {}, {}, {}, {}", window, o.count_include_pad ? 1 : 0, o.divisor_override.value_or(0), x(), y()),
         "AvgPool2d");
  }

  void operator()(const op::AdaptiveAvgPool2d&) { call("adaptive_avg_pool2d", bins(), "AdaptiveAvgPool2d"); }
  void operator()(const op::AdaptiveMaxPool2d&) { call("adaptive_max_pool2d", bins(), "AdaptiveMaxPool2d"); }

  void operator()(const op::Upsample& upsample) {
    const Size2 factor = upsample.scale_factor;
    call("upsample",
         formatted("{}, {}, {}, {}, {}, {}, {}", extent(*x_, 1), extent(*x_, 2), extent(*x_, 3), factor.height, factor.width, x(),
                   y()),
         "Upsample");
  }

  void operator()(const op::Flatten&) {}

  void operator()(const op::Softmax&) {
    call("softmax", formatted("{}, {}, {}, {}", extent(*x_, 1), pixels(*x_), x(), y()), "Softmax");
  }

  void operator()(const op::Add&) {
    call("add", formatted("{}, {}, {}, {}", y_->numel(), at(node_->inputs[0]), at(node_->inputs[1]), y()), "Add");
  }

  void operator()(const op::Concat&) {
    std::int64_t first = 0;
    for (const int input : node_->inputs) {
      call("copy", formatted("{}, {}, {} + {}", shape(input).numel(), at(input), y(), first), "Concat");
      first += shape(input).numel();
    }
  }

 private:
  struct Taps {
    Size2 kernel_size, stride, dilation;
  };

  const Shape& shape(int value) const { return graph_.values[static_cast<std::size_t>(value)]; }
  const BufferPlan::Place& place(int value) const { return plan_.places[static_cast<std::size_t>(value)]; }

  /// A value as a pointer.
  std::string at(int value) const {
    switch (place(value).where) {
      case BufferPlan::Where::input: return "input";
      case BufferPlan::Where::output: return "output";
      case BufferPlan::Where::memory: break;
    }
    return place(value).offset == 0 ? "memory" : formatted("memory + {}", place(value).offset);
  }
  std::string x() const { return at(node_->inputs[0]); }
  std::string y() const { return at(node_->output); }

  std::string window_of(const Taps& taps, Size2 before) const {
    return formatted(
        ".channels = {}, .height = {}, .width = {}, .outputs = {}, .out_height = {}, .out_width = {},\n"
        "      .kernel_height = {}, .kernel_width = {}, .stride_height = {}, .stride_width = {}, .top = {}, .left = {},\n"
        "      .dilation_height = {}, .dilation_width = {}",
        extent(*x_, 1), extent(*x_, 2), extent(*x_, 3), extent(*y_, 1), extent(*y_, 2), extent(*y_, 3), taps.kernel_size.height,
        taps.kernel_size.width, taps.stride.height, taps.stride.width, before.height, before.width, taps.dilation.height,
        taps.dilation.width);
  }
  std::string compound(const std::string& members) const { return formatted("&(const struct {}_window){{{}}}", prefix_, members); }

  std::string bins() const {
    return formatted("{}, {}, {}, {}, {}, {}, {}", extent(*x_, 1), extent(*x_, 2), extent(*x_, 3), extent(*y_, 2), extent(*y_, 3),
                     x(), y());
  }

  void normalize(std::int64_t groups, double eps, const Tensor& weight, const Tensor& bias, std::string_view kind) {
    const std::string weights = constant("weight", weight), biases = constant("bias", bias);
    call("group_norm",
         formatted("{}, {}, {}, {}, {}, {}, {}, {}", extent(*x_, 1), pixels(*x_), groups, eps, weights, biases, x(), y()), kind);
  }

  /// The name of a new array; 0, a null pointer, without a tensor.
  std::string constant(std::string_view part, const Tensor& tensor) {
    return tensor.defined() ? constant(part, values_of(part, tensor)) : "0";
  }
  std::string constant(std::string_view part, std::vector<float> values) {
    const std::string tensor = name_of(part);
    for (const float value : values) require_finite(tensor, value);
    std::string name = formatted("{}_w{}_{}", prefix_, network_.constants.size(), c_name(tensor));
    network_.weights += static_cast<std::int64_t>(values.size());
    network_.constants.push_back({name, std::move(values)});
    return name;
  }

  /// The name of a tensor of the node at hand, as state_dict has it.
  std::string name_of(std::string_view part) const {
    return node_->path.empty() ? std::string(part) : formatted("{}.{}", node_->path, part);
  }

  std::vector<float> values_of(std::string_view part, const Tensor& tensor) const {
    std::vector<float> values = tensor.to_vector<float>();
    for (const float value : values) require_finite(name_of(part), value);
    return values;
  }

  static void require_finite(const std::string& name, double value) {
    if (std::isfinite(value)) return;
    throw std::invalid_argument(formatted("export_c: {} holds {}, for which C has no constant", printable(name, 60), value));
  }

  /// A parameter of an activation.
  std::string number(float value) const {
    require_finite(node_->path, double{value});
    return c_float(value, ExportCOptions::Numbers::decimal);
  }

  void call(std::string_view function, const std::string& arguments, std::string_view what) {
    network_.functions.insert(function);
    const std::string path = node_ && !node_->path.empty() ? c_comment(node_->path) + ", " : "";
    network_.calls += formatted("  /* {}{} */\n  {}_{}({});\n", path, what, prefix_, function, arguments);
  }

  const ModelGraph& graph_;
  const std::string& prefix_;
  BufferPlan plan_;
  CNetwork network_;
  const ModelGraph::Node* node_ = nullptr;  // the one at hand
  const Shape *x_ = nullptr, *y_ = nullptr;
};

}  // namespace

CNetwork c_network(const ModelGraph& graph, const std::string& prefix) { return Writer(graph, prefix).write(); }

}  // namespace gpucnn
