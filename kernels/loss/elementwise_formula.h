#pragma once

#include <cmath>

#include <gpucnn/kernels/common/host_device.h>
#include <gpucnn/kernels/loss/elementwise_loss.h>

/// The formulas of elementwise losses, in double, for both devices.
namespace gpucnn::kernels {

/// The cost of one element and its derivative.
struct ElementCost {
  double value, slope;
};

/// `weight` and `pos_weight` are those of the element's class.
GPUCNN_HOST_DEVICE inline ElementCost element_cost(ElementwiseLoss::Kind kind, double beta, double x, double t, double weight,
                                                   double pos_weight) {
  const double d = x - t, size = std::fabs(d);
  const double sign = static_cast<double>(d > 0) - static_cast<double>(d < 0);  // 0 for NaN, as PyTorch's
  switch (kind) {
    case ElementwiseLoss::Kind::mse: return {d * d, 2 * d};
    case ElementwiseLoss::Kind::l1: return {size, sign};
    case ElementwiseLoss::Kind::smooth_l1:
      if (beta == 0) return {size, sign};
      if (size >= beta) return {size - beta / 2, sign};
      return {d * d / (2 * beta), d / beta};
    case ElementwiseLoss::Kind::bce_with_logits: break;
  }
  // log(1 + exp(-x)) and 1 / (1 + exp(x)) without overflow.
  const double small = std::exp(-std::fabs(x));
  const double softplus = std::log1p(small) + (x < 0 ? -x : 0);
  const double rest = (x < 0 ? 1 : small) / (1 + small);
  const double positive = 1 + (pos_weight - 1) * t;
  return {weight * ((1 - t) * x + positive * softplus), weight * ((1 - t) - positive * rest)};
}

}  // namespace gpucnn::kernels
