#include <gpucnn/io/onnx/import/expression.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <utility>

namespace gpucnn::onnx {
namespace {

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

double gelu_tanh(double x) { return x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x))) / 2; }

/// Where expressions are held against activations; on both sides of each kink.
constexpr std::array kPoints{-20.0, -7.5, -6.0, -4.0, -3.01, -2.99, -2.5, -2.0, -1.5, -1.0, -0.75, -0.5, -0.25, -0.1, -0.01, 0.0,
                             0.01,  0.1,  0.25, 0.5,  0.75,  1.0,   1.5,  2.0,  2.5,  2.99, 3.01,  4.0,  5.99,  6.01, 7.5,   20.0};
constexpr double kRounding = 2e-6;

/// Within rounding of what `function` gives, and of 1 at most where that is small.
template <class Function>
bool agrees(const Expression& expression, const Function& function) {
  double largest = 0;
  for (const double x : kPoints) largest = std::max(largest, std::abs(function(x)));
  return std::ranges::all_of(kPoints, [&](double x) {
    const double expected = function(x);
    return std::abs(expression(x) - expected) <= kRounding * std::max(std::min(1.0, largest), std::abs(expected));
  });
}

/// One that has no parameters.
struct Known {
  Activation::Kind kind;
  double (*value)(double x);
};
constexpr std::array kKnown{
    Known{Activation::relu, [](double x) { return std::max(x, 0.0); }},
    Known{Activation::relu6, [](double x) { return std::clamp(x, 0.0, 6.0); }},
    Known{Activation::gelu, [](double x) { return x * (1 + std::erf(x / std::numbers::sqrt2)) / 2; }},
    Known{Activation::gelu_tanh, gelu_tanh},
    Known{Activation::silu, [](double x) { return x * logistic(x); }},
    Known{Activation::hardswish, [](double x) { return x * std::clamp(x + 3, 0.0, 6.0) / 6; }},
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
  if (agrees(*this, [&](double x) { return factor * x; })) {
    return Activation{.kind = Activation::scaled, .factor = static_cast<float>(factor)};
  }
  if (agrees(*this, [&](double x) { return x > 0 ? x : slope * x; })) {
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
