#pragma once

#include <cstdint>

namespace gpucnn {

/// How the costs of a batch become one number: their mean, or their sum. PyTorch's `none` is left out, for a Loss is one number.
enum class Reduction : std::uint8_t { mean, sum };

}  // namespace gpucnn
