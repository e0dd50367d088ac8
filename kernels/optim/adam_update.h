#pragma once

#include <cmath>
#include <cstdint>

#include <gpucnn/kernels/common/host_device.h>
#include <gpucnn/kernels/optim/adam.h>
#include <gpucnn/kernels/optim/integer_power.h>

/// Adam's formula on a GPU: see adam.h. In .cu files only.
namespace gpucnn::kernels::cuda {

/// What is the same for all elements.
struct AdamCoefficients {
  float decay, beta1, rest1, beta2, rest2, rate, correction, eps, shrink;
  bool maximize;

  __host__ __device__ static AdamCoefficients of(const AdamStep& s) {
    return {.decay = s.decoupled ? 0.0F : static_cast<float>(s.weight_decay),
            .beta1 = static_cast<float>(s.beta1),
            .rest1 = static_cast<float>(1 - s.beta1),
            .beta2 = static_cast<float>(s.beta2),
            .rest2 = static_cast<float>(1 - s.beta2),
            .rate = static_cast<float>(s.lr / (1 - integer_power(s.beta1, s.step))),
            .correction = static_cast<float>(std::sqrt(1 - integer_power(s.beta2, s.step))),
            .eps = static_cast<float>(s.eps),
            .shrink = s.decoupled ? static_cast<float>(1 - s.lr * s.weight_decay) : 1.0F,
            .maximize = s.maximize};
  }

  /// Of one element; `max_square` is null without AMSGrad.
  __device__ void update(float gradient, float& weight, float& mean, float& square, float* max_square) const {
    const float g = fmaf(decay, weight, maximize ? -gradient : gradient);
    // PyTorch's lerp goes from the nearer end, so that beta1 = 0 gives m = g exactly.
    mean = rest1 < 0.5F ? fmaf(rest1, g - mean, mean) : fmaf(-beta1, g - mean, g);
    square = fmaf(rest2 * g, g, beta2 * square);
    float largest = square;
    if (max_square) {
      largest = square < *max_square ? *max_square : square;  // the square where that is NaN
      *max_square = largest;
    }
    weight = fmaf(shrink, weight, -(rate * mean / (std::sqrt(largest) / correction + eps)));
  }
};

}  // namespace gpucnn::kernels::cuda
