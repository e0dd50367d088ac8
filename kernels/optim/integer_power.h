#pragma once

#include <cstdint>

#include <gpucnn/kernels/common/host_device.h>

namespace gpucnn::kernels {

/// base^n for n >= 0, by squaring: on both devices the same bits, and on a GPU a few products where `pow` takes hundreds of
/// instructions. Each squaring doubles the relative error, which is about n roundings at most.
GPUCNN_HOST_DEVICE constexpr double integer_power(double base, std::int64_t n) {
  double power = 1;
  for (; n > 0; n /= 2) {
    if (n % 2 != 0) power *= base;
    base *= base;
  }
  return power;
}

}  // namespace gpucnn::kernels
