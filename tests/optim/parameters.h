#pragma once

#include <string>
#include <vector>

#include <gpucnn/core/parameter.h>

#include "reference/values.h"

namespace gpucnn {

/// Parameters of these shapes in one arena, the same values each time.
inline std::vector<Parameter> packed(const std::vector<Shape>& shapes, Device device = {}) {
  std::vector<Parameter> parameters;
  std::vector<std::string> names;
  for (const Shape& shape : shapes) {
    names.push_back(std::to_string(parameters.size()));
    parameters.emplace_back(shape, Init::uniform(1));
  }
  Arena::pack(parameters, names, /*seed=*/5, device);
  return parameters;
}

inline std::vector<float> values(const Parameter& parameter) { return parameter.value().to_vector<float>(); }

/// The gradients of a seed.
inline std::vector<float> grads(const Parameter& parameter, unsigned seed) {
  return reference::random_floats(parameter.numel(), seed + 100);
}

inline void set_grad(Parameter& parameter, unsigned seed) {
  parameter.zero_grad();
  parameter.accumulate_grad(Tensor::from(grads(parameter, seed), parameter.shape()));
}

}  // namespace gpucnn
