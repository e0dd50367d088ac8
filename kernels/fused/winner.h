#pragma once

#include <cmath>
#include <cstdint>

namespace gpucnn::kernels::cuda {

inline constexpr std::uint8_t kNoWinner = 4;

/// The winner of a window's four values, in row order, by max_pool2d's rules, behind a ReLU. In .cu files only.
struct Winner {
  float value;
  std::uint8_t index;
};

__device__ inline Winner winner_of(float first, float second, float third, float fourth) {
  Winner best{first, 0};
  const auto update = [&](float value, std::uint8_t index) {
    if (value > best.value || std::isnan(value)) best = {value, index};
  };
  update(second, 1);
  update(third, 2);
  update(fourth, 3);
  return best.value <= 0 ? Winner{0, kNoWinner} : best;
}

}  // namespace gpucnn::kernels::cuda
