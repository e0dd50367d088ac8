#pragma once

#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// For what takes over a StateDict: throws `std::invalid_argument` that names `call` and the entry unless `given` has the shape and
/// dtype of `own`.
inline void require_same_kind(std::string_view call, std::string_view name, const Tensor& own, const Tensor& given) {
  if (given.defined() && given.shape() == own.shape() && given.dtype() == own.dtype()) return;
  throw std::invalid_argument(fmt::format("{}: {} must be {} {}, got {} {}", call, name, name_of(own.dtype()), own.shape().string(),
                                          name_of(given.dtype()), given.shape().string()));
}

}  // namespace gpucnn
