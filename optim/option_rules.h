#pragma once

#include <stdexcept>
#include <string_view>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>

/// What optimizers' options must be: each throws `std::invalid_argument` with the option, its value and the rule.
namespace gpucnn {

inline void require_option(bool holds, std::string_view option, double value, std::string_view rule) {
  if (!holds) throw std::invalid_argument(formatted("Optimizer: invalid {}: {}, must be {}", option, value, rule));
}

inline void require_finite(std::string_view option, double value) {
  require_option(kernels::finite_in_f32(value), option, value, "finite in f32");
}

inline void require_not_negative(std::string_view option, double value) {
  require_option(kernels::finite_in_f32(value) && value >= 0.0, option, value, "finite in f32 and not negative");
}

/// For the part of a running average that is kept.
inline void require_fraction(std::string_view option, double value) {
  require_option(value >= 0.0 && value < 1.0, option, value, "in [0, 1)");
}

}  // namespace gpucnn
