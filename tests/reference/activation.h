#pragma once

#include <cmath>

#include <gpucnn/kernels/activation/activation.h>

#include "close.h"
#include "reference/values.h"

namespace gpucnn::reference {

inline constexpr double kInvSqrt2Pi = 0.3989422804014327;
inline double logistic(double x) { return 1 / (1 + std::exp(-x)); }
inline double normal_cdf(double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }
inline double gelu(double x) { return x * normal_cdf(x); }
inline double gelu_argument(double x) { return 2 * kInvSqrt2Pi * (x + 0.044715 * x * x * x); }  // of its tanh

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
    {"gelu", {Activation::gelu}, gelu, [](double x) { return normal_cdf(x) + x * std::exp(-x * x / 2) * kInvSqrt2Pi; }, kSum},
    {"gelu_tanh",  // (1 + tanh(u)) / 2 as logistic(2u), for the former cancels where x is very negative
     {Activation::gelu_tanh},
     [](double x) { return x * logistic(2 * gelu_argument(x)); },
     [](double x) {
       const double up = logistic(2 * gelu_argument(x)), down = logistic(-2 * gelu_argument(x));
       return up + x * up * down * 4 * kInvSqrt2Pi * (1 + 3 * 0.044715 * x * x);
     },
     kSum},
    {"silu",
     {Activation::silu},
     [](double x) { return x * logistic(x); },
     [](double x) { return logistic(x) * (1 + x * logistic(-x)); },
     kSum},
    {"hardswish",
     {Activation::hardswish},
     [](double x) { return x < -3  ? 0 * x
                           : x > 3 ? x
                                   : x * (x + 3) / 6; },
     [](double x) { return x <= -3  ? 0
                           : x >= 3 ? 1
                                    : x / 3 + 0.5; },
     kSum},
    {"sigmoid", {Activation::sigmoid}, logistic, [](double x) { return logistic(x) * logistic(-x); }, kPointwise},
    {"tanh",
     {Activation::tanh},
     [](double x) { return std::tanh(x); },
     [](double x) { return 1 - std::tanh(x) * std::tanh(x); },
     kPointwise},
    {"scaled",
     {.kind = Activation::scaled, .factor = -0.3F},
     [](double x) { return -0.3F * x; },
     [](double) { return double{-0.3F}; },
     kPointwise},
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
