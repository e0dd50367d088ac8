#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/io/onnx/import/functions.h>
#include <gpucnn/io/onnx/import/graph_reader.h>

/// Nodes that compute each element by itself, and those that add or multiply two values.
/// https://github.com/onnx/onnx/blob/main/docs/Operators.md
namespace gpucnn::onnx {
namespace {

/// The longest function that is kept together: GELU has 8 steps.
constexpr int kMaxDepth = 10;

/// Input `i` as a function of a value. What several nodes read is computed once: it is no step within one activation.
Pointwise function_of(std::size_t i, GraphReader& from) {
  const auto* function = from.symbol_as<Pointwise>(i);
  const bool goes_on = function && function->function->depth() < kMaxDepth && from.reads_alone(i);
  return goes_on ? *function : Pointwise{from.value(i), Expression::variable(), &from.node()};
}

void apply(GraphReader& from, Expression::Unary step, double a = 0, double b = 0) {
  const Pointwise x = function_of(0, from);
  from.set(Pointwise{x.value, Expression::step(step, x.function, a, b), &from.node()});
}

void read_clip(GraphReader& from) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double low = from.real("min", -kInfinity), high = from.real("max", kInfinity);  // attributes before operator set 11
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    if (!from.has_input(i)) continue;
    const std::optional<double> bound = from.scalar(i);
    from.require(bound.has_value(), "bounds of Clip that are one number each", "others");
    (i == 1 ? low : high) = *bound;
  }
  from.require(low <= high, "bounds of Clip in order", "others");
  apply(
      from, [](double x, double a, double b) { return std::clamp(x, a, b); }, low, high);
}

void read_gelu(GraphReader& from) {
  const std::string_view how = from.text("approximate", "none");
  from.require(how == "none" || how == "tanh", "an approximation \"none\" or \"tanh\"", "another");
  if (how == "tanh") return apply(from, [](double x, double, double) { return gelu_tanh(x); });
  apply(from, [](double x, double, double) { return gelu(x); });
}

bool is_zero(const Tensor& tensor) {
  return std::ranges::all_of(tensor.to_vector<float>(), [](float value) { return value == 0; });
}

/// Gives a layer before this node its bias, or a GroupNorm its weight, where that is what the node does. `i` is the constant.
bool complete_layer(GraphReader& from, std::size_t i, bool is_sum) {
  const auto* made = from.symbol_as<Value>(1 - i);
  if (!made || made->number == 0 || !from.reads_alone(1 - i) || !from.is_per_channel(i, from.shape(made->number))) return false;
  const std::int64_t channels = from.shape(made->number)[1];
  Op& maker = from.maker(made->number);
  if (auto* norm = std::get_if<op::GroupNorm>(&maker)) {
    if (!is_sum && !norm->weight.defined()) {
      norm->weight = from.tensor(i).view(0, {channels});
      norm->bias = Tensor::zeros({channels});
    } else if (is_sum && norm->weight.defined() && is_zero(norm->bias)) {
      norm->bias = from.tensor(i).view(0, {channels});
    } else {
      return false;
    }
  } else if (auto* conv = std::get_if<op::Conv2d>(&maker); conv && is_sum && !conv->bias.defined()) {
    conv->bias = from.tensor(i).view(0, {channels});
    conv->options.bias = true;
  } else if (auto* linear = std::get_if<op::Linear>(&maker); linear && is_sum && !linear->bias.defined()) {
    linear->bias = from.tensor(i).view(0, {channels});
  } else {
    return false;
  }
  from.set(*made);
  return true;
}

void read_two(GraphReader& from, Expression::Binary step, bool is_sum, bool is_product) {
  for (const std::size_t i : {std::size_t{1}, std::size_t{0}}) {
    if (!from.is_constant(i)) continue;
    if ((is_sum || is_product) && complete_layer(from, i, is_sum)) return;
    const std::optional<double> number = from.scalar(i);
    from.require(number.has_value(), "one number, or a bias behind a layer that has none", "another tensor");
    const Pointwise x = function_of(1 - i, from);
    const Shape& shape = from.shape(x.value);
    from.require(from.dims(i).size() <= static_cast<std::size_t>(shape.rank()), "a number that leaves the dimensions as they are",
                 formatted("one of {} dimensions for {}", from.dims(i).size(), shape.string()));
    const Expression::Pointer constant = Expression::constant(*number);
    from.set(Pointwise{x.value,
                       i == 1 ? Expression::step(step, x.function, constant) : Expression::step(step, constant, x.function),
                       &from.node()});
    return;
  }
  const Pointwise left = function_of(0, from), right = function_of(1, from);
  const bool is_plain = left.function->is_variable() && right.function->is_variable();
  if (left.value == right.value && !(is_plain && is_sum)) {
    return from.set(Pointwise{left.value, Expression::step(step, left.function, right.function), &from.node()});
  }
  from.require(is_sum, "a sum, where two values meet", "another function of both");
  from.add(op::Add{}, {from.value(0), from.value(1)});
}

}  // namespace

bool read_pointwise(std::string_view type, GraphReader& from) {
  if (type == "Relu") return apply(from, [](double x, double, double) { return relu(x); }), true;
  if (type == "LeakyRelu") {
    return apply(
               from, [](double x, double a, double) { return x > 0 ? x : a * x; }, from.real("alpha", 0.01)),
           true;
  }
  if (type == "Sigmoid") return apply(from, [](double x, double, double) { return logistic(x); }), true;
  if (type == "Tanh") return apply(from, [](double x, double, double) { return std::tanh(x); }), true;
  if (type == "Erf") return apply(from, [](double x, double, double) { return std::erf(x); }), true;
  if (type == "Neg") return apply(from, [](double x, double, double) { return -x; }), true;
  if (type == "Clip") return read_clip(from), true;
  if (type == "HardSigmoid") {
    const auto function = [](double x, double a, double b) { return std::clamp(a * x + b, 0.0, 1.0); };
    return apply(from, function, from.real("alpha", 0.2), from.real("beta", 0.5)), true;
  }
  if (type == "HardSwish") return apply(from, [](double x, double, double) { return hardswish(x); }), true;
  if (type == "Gelu") return read_gelu(from), true;
  if (type == "Add") return read_two(from, &Expression::sum, true, false), true;
  if (type == "Sub")
    return read_two(
               from, [](double x, double y) { return x - y; }, false, false),
           true;
  if (type == "Mul")
    return read_two(
               from, [](double x, double y) { return x * y; }, false, true),
           true;
  if (type == "Div")
    return read_two(
               from, [](double x, double y) { return x / y; }, false, false),
           true;
  if (type == "Pow")
    return read_two(
               from, [](double x, double y) { return std::pow(x, y); }, false, false),
           true;
  return false;
}

}  // namespace gpucnn::onnx
