#pragma once

#include <cstdint>
#include <cstdlib>

#include "close.h"

namespace gpucnn {

/// Of predictions through up to 20 layers. A norm of equal numbers leaves their rounding over sqrt(eps), which is 1 / 316.
inline constexpr Tolerance kDeep{0, 2e-5, 1e-4};

/// The number in an environment variable, or another.
inline std::uint64_t variable(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

}  // namespace gpucnn
