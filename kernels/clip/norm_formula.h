#pragma once

#include <cmath>
#include <limits>

#include <gpucnn/kernels/common/host_device.h>

/// The formulas of clipping, for both twins.
namespace gpucnn::kernels {

/// A norm: what an element x contributes, how two contributions become one, and what becomes of the last.
struct Largest {
  GPUCNN_HOST_DEVICE double term(double x) const { return std::abs(x); }
  GPUCNN_HOST_DEVICE double join(double a, double b) const { return b > a || b != b ? b : a; }  // NaN is the largest
  GPUCNN_HOST_DEVICE double root(double total) const { return total; }
};

struct Added {
  GPUCNN_HOST_DEVICE double join(double a, double b) const { return a + b; }
};

struct Magnitudes : Added {
  GPUCNN_HOST_DEVICE double term(double x) const { return std::abs(x); }
  GPUCNN_HOST_DEVICE double root(double total) const { return total; }
};

struct Squares : Added {
  GPUCNN_HOST_DEVICE double term(double x) const { return x * x; }
  GPUCNN_HOST_DEVICE double root(double total) const { return std::sqrt(total); }
};

struct Powers : Added {
  double exponent;
  explicit Powers(double p) : exponent(p) {}
  GPUCNN_HOST_DEVICE double term(double x) const { return std::pow(std::abs(x), exponent); }
  GPUCNN_HOST_DEVICE double root(double total) const { return std::pow(total, 1 / exponent); }
};

/// Calls `use` with the norm of this type.
template <class Use>
void with_norm(double norm_type, const Use& use) {
  if (norm_type == std::numeric_limits<double>::infinity()) return use(Largest{});
  if (norm_type == 2) return use(Squares{});
  if (norm_type == 1) return use(Magnitudes{});
  use(Powers(norm_type));
}

/// What a gradient is multiplied by.
GPUCNN_HOST_DEVICE inline float clip_coefficient(float total_norm, float max_norm) {
  const float coefficient = max_norm / (total_norm + 1e-6F);
  return coefficient > 1 ? 1.0F : coefficient;  // NaN stays
}

/// NaN stays.
GPUCNN_HOST_DEVICE inline float clipped(float x, float clip_value) {
  const float raised = x < -clip_value ? -clip_value : x;
  return raised > clip_value ? clip_value : raised;
}

}  // namespace gpucnn::kernels
