#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <gpucnn/core/random.h>

namespace gpucnn {

/// Fisher and Yates' method: for i from size - 1 down to 1, position i is swapped with position random.below(i, i + 1). At most
/// 2^32 - 1 values.
inline void shuffle(std::span<std::int64_t> values, const RandomStream& random) {
  for (std::size_t i = values.size(); i-- > 1;) std::swap(values[i], values[random.below(i, static_cast<std::uint32_t>(i + 1))]);
}

}  // namespace gpucnn
