#include <gpucnn/io/onnx/import/expression.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include <gpucnn/io/onnx/import/functions.h>

namespace gpucnn::onnx {
namespace {

/// Where expressions are held against activations: on both sides of each kink of those.
constexpr std::array kNearPoints{-20.0, -7.5,  -6.0, -4.0,  -3.01, -2.99, -2.5, -2.0, -1.5, -1.0, -0.75,
                                 -0.5,  -0.25, -0.1, -0.01, 0.0,   0.01,  0.1,  0.25, 0.5,  0.75, 1.0,
                                 1.5,   2.0,   2.5,  2.99,  3.01,  4.0,   5.99, 6.01, 7.5,  20.0};
constexpr double kRounding = 2e-6;

/// The powers of two above, with both signs, and the largest f32: a Clip at any bound differs at one of them.
constexpr auto kFarPoints = [] {
  constexpr int kFirst = 5, kEnd = std::numeric_limits<float>::max_exponent;
  std::array<double, std::size_t{2} * (kEnd - kFirst + 1)> points{};
  double power = 1 << kFirst;
  for (std::size_t i = 0; i < points.size(); i += 2) {
    const double point = std::min(power, double{std::numeric_limits<float>::max()});
    points[i] = point;
    points[i + 1] = -point;
    power *= 2;
  }
  return points;
}();

/// Within rounding of what `function` gives: of the value, or, if that is less, of 1 and of the largest near value.
template <class Function>
bool agrees(const Expression& expression, const Function& function) {
  double largest = 0;
  for (const double x : kNearPoints) largest = std::max(largest, std::abs(function(x)));
  const auto agrees_at = [&](double x) {
    const double expected = function(x);
    if (x == 0 && expected == 0) return expression(x) == 0;  // else a small sum would pass for nothing
    return std::abs(expression(x) - expected) <= kRounding * std::max(std::min(1.0, largest), std::abs(expected));
  };
  return std::ranges::all_of(kNearPoints, agrees_at) && std::ranges::all_of(kFarPoints, agrees_at);
}

bool is_float(double value) { return std::abs(value) <= std::numeric_limits<float>::max(); }

/// One that has no parameters.
struct Known {
  Activation::Kind kind;
  double (*value)(double x);
};
constexpr std::array kKnown{
    Known{Activation::relu, relu},
    Known{Activation::relu6, [](double x) { return std::clamp(x, 0.0, 6.0); }},
    Known{Activation::gelu, gelu},
    Known{Activation::gelu_tanh, gelu_tanh},
    Known{Activation::silu, [](double x) { return x * logistic(x); }},
    Known{Activation::hardswish, hardswish},
    Known{Activation::sigmoid, logistic},
    Known{Activation::tanh, [](double x) { return std::tanh(x); }},
};

}  // namespace

Expression::Pointer Expression::variable() { return std::make_shared<Expression>(); }

Expression::Pointer Expression::constant(double value) {
  auto made = std::make_shared<Expression>();
  made->kind_ = Kind::constant;
  made->a_ = value;
  return made;
}

Expression::Pointer Expression::step(Unary function, Pointer inner, double a, double b) {
  auto made = std::make_shared<Expression>();
  made->kind_ = Kind::unary;
  made->unary_ = function;
  made->a_ = a;
  made->b_ = b;
  made->depth_ = inner->depth_ + 1;
  made->left_ = std::move(inner);
  return made;
}

Expression::Pointer Expression::step(Binary function, Pointer left, Pointer right) {
  auto made = std::make_shared<Expression>();
  made->kind_ = Kind::binary;
  made->binary_ = function;
  made->depth_ = std::max(left->depth_, right->depth_) + 1;
  made->left_ = std::move(left);
  made->right_ = std::move(right);
  return made;
}

double Expression::operator()(double x) const {
  switch (kind_) {
    case Kind::variable: return x;
    case Kind::constant: return a_;
    case Kind::unary: return unary_((*left_)(x), a_, b_);
    case Kind::binary: return binary_((*left_)(x), (*right_)(x));
  }
  return x;
}

std::optional<Activation> Expression::activation() const {
  for (const Known& known : kKnown) {
    if (agrees(*this, known.value)) return Activation{known.kind};
  }
  const double factor = (*this)(1), slope = -(*this)(-1);
  if (is_float(factor) && agrees(*this, [&](double x) { return factor * x; })) {
    return Activation{.kind = Activation::scaled, .factor = static_cast<float>(factor)};
  }
  if (is_float(slope) && agrees(*this, [&](double x) { return x > 0 ? x : slope * x; })) {
    return Activation{Activation::leaky_relu, static_cast<float>(slope)};
  }
  return std::nullopt;
}

Expression::Pointer Expression::last_step() const {
  if (kind_ == Kind::unary) return step(unary_, variable(), a_, b_);
  if (left_->is_constant()) return step(binary_, left_, variable());
  return step(binary_, variable(), right_);
}

}  // namespace gpucnn::onnx
