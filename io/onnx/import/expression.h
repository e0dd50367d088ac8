#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <gpucnn/kernels/activation/activation.h>

namespace gpucnn::onnx {

/// A function of one number, as pointwise ONNX nodes build it step by step. It is x, a constant, or a step of one or two of these.
class Expression {
 public:
  using Pointer = std::shared_ptr<const Expression>;
  using Unary = double (*)(double x, double a, double b);
  using Binary = double (*)(double x, double y);

  /// x itself.
  static Pointer variable();
  static Pointer constant(double value);
  /// function(inner, a, b), where a and b are fixed.
  static Pointer step(Unary function, Pointer inner, double a = 0, double b = 0);
  static Pointer step(Binary function, Pointer left, Pointer right);
  static double sum(double x, double y) { return x + y; }

  double operator()(double x) const;

  /// The activation that it is: of equal values, within rounding, at many points. Nothing if it is none.
  std::optional<Activation> activation() const;

  bool is_variable() const noexcept { return kind_ == Kind::variable; }
  bool is_constant() const noexcept { return kind_ == Kind::constant; }
  bool is_sum() const noexcept { return kind_ == Kind::binary && binary_ == &sum; }
  /// Steps on the longest way to x.
  int depth() const noexcept { return depth_; }
  /// What the last step is made of; null for what it has not.
  const Pointer& left() const noexcept { return left_; }
  const Pointer& right() const noexcept { return right_; }
  /// The last step alone: of x in place of `left`, or of `right` if that is not a constant.
  Pointer last_step() const;

 private:
  enum class Kind : std::uint8_t { variable, constant, unary, binary };

  Kind kind_ = Kind::variable;
  int depth_ = 0;
  double a_ = 0, b_ = 0;
  Unary unary_ = nullptr;
  Binary binary_ = nullptr;
  Pointer left_, right_;
};

}  // namespace gpucnn::onnx
