#pragma once

#include <gpucnn/kernels/activation/activation.h>

#include "close.h"
#include "reference/values.h"

namespace gpucnn::reference {

/// A pointwise activation as a textbook writes it, in float64.
struct PointwiseActivation {
  const char* name;
  Activation function;
  double (*value)(double x);
  double (*derivative)(double x);
  Tolerance tolerance;  // of an f32 result
};

/// Every Activation::Kind. The tests of activations, of convolutions and of linear layers go through this list.
inline const PointwiseActivation kActivations[] = {
    {"none", {Activation::none}, [](double x) { return x; }, [](double) { return 1.0; }, kSameValue},
    {"relu", {Activation::relu}, [](double x) { return x < 0 ? 0 : x; }, [](double x) { return x <= 0 ? 0.0 : 1.0; }, kSameValue},
    {"leaky_relu",
     {Activation::leaky_relu},
     [](double x) { return x > 0 ? x : 0.01 * x; },
     [](double x) { return x > 0 ? 1.0 : 0.01; },
     kPointwise},
    {"leaky_relu of a negative slope",
     {Activation::leaky_relu, -0.3F},
     [](double x) { return x > 0 ? x : -0.3 * x; },
     [](double x) { return x > 0 ? 1.0 : -0.3; },
     kPointwise},
    {"relu6",
     {Activation::relu6},
     [](double x) { return x < 0   ? 0
                           : x > 6 ? 6
                                   : x; },
     [](double x) { return x <= 0 || x >= 6 ? 0.0 : 1.0; },
     kSameValue},
};

inline Values activation(const PointwiseActivation& function, Values x) {
  for (double& value : x) value = function.value(value);
  return x;
}

inline Values activation_backward(const PointwiseActivation& function, const Values& x, Values dy) {
  for (std::size_t i = 0; i < x.size(); ++i) dy[i] *= function.derivative(x[i]);
  return dy;
}

}  // namespace gpucnn::reference
