#pragma once

#include <array>

#include <gpucnn/core/device.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/linear/linear.h>

namespace gpucnn {

/// The quintic Newton-Schulz iteration of Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024), for
/// matrices of one shape on one device. It moves all singular values towards 1 and keeps the singular vectors:
///   x = x / max(|x|, eps), then some times: x = a x + (b A + c A A) x with A = x x^T
/// A tall matrix is treated as its transpose. f32 throughout.
class Orthogonalizer {
 public:
  struct Options {
    std::array<double, 3> coefficients;  // a, b, c
    double eps;
    int steps;
  };

  /// `shape`: [R, C], both at least 1.
  Orthogonalizer(const Shape& shape, Device device);

  bool serves(const Shape& shape, Device device) const noexcept { return shape == shape_ && device == device_; }

  /// What becomes of x: [R, C], which is overwritten.
  Tensor operator()(Tensor x, const Options& options, Stream& stream);

 private:
  /// Whether x x^T is no larger than x^T x.
  bool wide() const noexcept { return shape_[0] <= shape_[1]; }
  void gram(const Tensor& x, Tensor& y, Stream& stream);
  /// y = polynomial x, or x polynomial for a tall x.
  void apply(const Tensor& x, const Tensor& polynomial, Tensor& y, Stream& stream);

  Shape shape_;
  Device device_;
  // Of the products a Linear's plan has, y = x weight^T, dx = dy weight and dweight = dy^T x, these need no transpose in memory.
  kernels::LinearPlan product_, square_;
};

}  // namespace gpucnn
