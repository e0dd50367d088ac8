#pragma once

#include <cstdint>

#include <gpucnn/kernels/common/host_device.h>

namespace gpucnn::kernels::cuda {

/// Divides by a number that the host knows with a multiplication and a shift, as Granlund and Montgomery, "Division by Invariant
/// Integers using Multiplication" (1994). Dividends are below 2^31, the divisor is in [1, 2^31).
class Divisor {
 public:
  explicit Divisor(std::uint32_t divisor) : divisor_(divisor) {
    while (std::uint64_t{1} << shift_ < divisor) ++shift_;
    // Above the exact 2^(31 + shift) / divisor by at most 1: too little to show in 31 bits of a quotient.
    multiplier_ = static_cast<std::uint32_t>((std::uint64_t{1} << (31 + shift_)) / divisor + 1);
  }

  GPUCNN_HOST_DEVICE std::uint32_t quotient(std::uint32_t dividend) const {
    return static_cast<std::uint32_t>(std::uint64_t{2 * dividend} * multiplier_ >> 32) >> shift_;
  }
  /// Divides `dividend`, and gives the remainder.
  GPUCNN_HOST_DEVICE std::uint32_t divide(std::uint32_t& dividend) const {
    const std::uint32_t whole = quotient(dividend), rest = dividend - whole * divisor_;
    dividend = whole;
    return rest;
  }

 private:
  std::uint32_t divisor_, multiplier_ = 0;
  int shift_ = 0;
};

}  // namespace gpucnn::kernels::cuda
