#pragma once

#include <cmath>

#include "reference/values.h"

namespace gpucnn::reference {

/// What one element costs, as a textbook writes it, and the derivative with respect to x.
struct ElementLoss {
  double value, slope;
};

inline ElementLoss mse(double x, double t) { return {(x - t) * (x - t), 2 * (x - t)}; }

inline ElementLoss smooth_l1(double x, double t, double beta) {
  const double d = x - t, size = std::abs(d), sign = d > 0 ? 1 : d < 0 ? -1 : 0;
  if (size < beta) return {d * d / (2 * beta), d / beta};
  return {size - beta / 2, sign};
}

inline ElementLoss l1(double x, double t) { return smooth_l1(x, t, 0); }

/// -weight (pos_weight t log p + (1 - t) log(1 - p)) with p = sigmoid(x).
inline ElementLoss bce_with_logits(double x, double t, double weight, double pos_weight) {
  const double p = 1 / (1 + std::exp(-x)), rest = 1 / (1 + std::exp(x));  // 1 - p without cancellation
  return {-weight * (pos_weight * t * std::log(p) + (1 - t) * std::log(rest)), weight * ((1 - t) * p - pos_weight * t * rest)};
}

}  // namespace gpucnn::reference
