#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string_view>

#include <gpucnn/core/text/formatted.h>

namespace gpucnn::kernels {

/// Throws `std::invalid_argument`, with the first index outside [0, count) and its position, if there is one.
inline void check_indices(std::string_view op, std::span<const std::int64_t> indices, std::int64_t count) {
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] < 0 || indices[i] >= count) {
      throw std::invalid_argument(formatted("{}: index {} at position {} is not in [0, {})", op, indices[i], i, count));
    }
  }
}

}  // namespace gpucnn::kernels
