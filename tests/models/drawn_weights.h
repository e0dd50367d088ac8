#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <gpucnn/core/shape.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

// The formula by which tests/golden/cases/record_models.py draws weights, statistics and images, bit for bit.

/// The 32-bit hash of Fowler, Noll and Vo.
inline std::uint32_t fnv1a(std::string_view name) {
  std::uint32_t value = 0x811C9DC5;
  for (const char c : name) value = (value ^ static_cast<unsigned char>(c)) * 0x01000193;
  return value;
}

/// Number `e` of the tensor whose name has this hash: in [-1, 1), a multiple of 2^-23.
inline float uniform(std::uint32_t hash, std::size_t e) {
  std::uint32_t x = static_cast<std::uint32_t>(e) * 0x9E3779B9 + hash;
  x = (x ^ x >> 16) * 0x7FEB352D;
  x = (x ^ x >> 15) * 0x846CA68B;
  x ^= x >> 16;
  return static_cast<float>(x >> 8) * 0x1p-23F - 1.0F;
}

/// The numbers of a tensor of this name, offset + scale * uniform.
inline std::vector<float> uniforms(std::string_view name, std::int64_t count, float scale = 1, float offset = 0) {
  const std::uint32_t hash = fnv1a(name);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t e = 0; e < values.size(); ++e) {
    const float scaled = scale * uniform(hash, e);
    values[e] = offset + scaled;
  }
  return values;
}

/// The parameter or buffer `name`: weights with He's variance, and statistics as training leaves them.
inline Tensor drawn(std::string_view name, const Shape& shape) {
  const std::int64_t count = shape.numel();
  float scale = 0.25F, offset = 0.75F;
  if (name.ends_with("running_var")) {
    scale = 0.5F;
    offset = 1;
  } else if (name.ends_with("running_mean") || name.ends_with("bias")) {
    scale = 0.125F;
    offset = 0;
  } else if (shape.rank() > 1) {
    scale = static_cast<float>(std::sqrt(6.0 * static_cast<double>(shape[0]) / static_cast<double>(count)));
    offset = 0;
  }
  std::vector<float> values = uniforms(name, count, scale, offset);
  if (name.ends_with("bn3.weight")) {
    for (float& value : values) value *= 0.125F;
  }
  return Tensor::from(values, shape);
}

}  // namespace gpucnn
