#pragma once

#include <cstdint>

namespace gpucnn::kernels::cpu {

/// Floats in the largest vector: what is laid out for vectors is padded to this, whichever instruction set is chosen.
inline constexpr std::int64_t kVector = 16;

constexpr std::int64_t round_up(std::int64_t count, std::int64_t unit) { return (count + unit - 1) / unit * unit; }

}  // namespace gpucnn::kernels::cpu
