#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

/// Functions of one number that layers and ONNX nodes share. x is any number.
namespace gpucnn::onnx {

inline double relu(double x) { return std::max(x, 0.0); }
inline double logistic(double x) { return 1 / (1 + std::exp(-x)); }
inline double hardswish(double x) { return x * std::clamp(x + 3, 0.0, 6.0) / 6; }

/// GELU by the error function, and by tanh: https://arxiv.org/abs/1606.08415
inline double gelu(double x) { return x * (1 + std::erf(x / std::numbers::sqrt2)) / 2; }
inline double gelu_tanh(double x) { return x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x))) / 2; }

}  // namespace gpucnn::onnx
