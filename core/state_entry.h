#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <gpucnn/core/state_dict.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/prefix_hint.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {

/// Which dtypes of a given tensor an own one takes.
enum class Takes {
  same_dtype,  // its own
  all_as_f32,  // its own, and all if it is f32: PyTorch's `copy_` converts them
};

/// For what takes over a StateDict: throws `std::invalid_argument` that names `call` and the entry unless `given` has the shape of
/// `own` and a dtype that it takes.
inline void require_same_kind(std::string_view call, std::string_view name, const Tensor& own, const Tensor& given, Takes takes) {
  const bool is_taken = given.dtype() == own.dtype() || (takes == Takes::all_as_f32 && own.dtype() == DType::f32);
  if (given.defined() && given.shape() == own.shape() && is_taken) return;
  throw std::invalid_argument(
      formatted("{}: {} must be {} {}, got {}", call, printable(name, kMaxNameBytes), name_of(own.dtype()), own.shape().string(),
                given.defined() ? formatted("{} {}", name_of(given.dtype()), given.shape().string()) : "an undefined tensor"));
}

/// The names that `own` and `given` do not share. Throws as `require_same_kind` for those that they share, and for a name of `own`
/// that `given` left out, whatever else is wrong.
inline IncompatibleKeys incompatible_keys(std::string_view call, const StateDict& own, const StateDict& given, Takes takes) {
  IncompatibleKeys keys;
  for (const auto& [name, tensor] : own) {
    if (const Tensor* found = given.find(name)) {
      require_same_kind(call, name, tensor, *found, takes);
    } else if (const auto left_out = given.left_out().find(name); left_out != given.left_out().end()) {
      throw std::invalid_argument(formatted("{}: {} was left out: {}", call, printable(name, kMaxNameBytes), left_out->second));
    } else {
      keys.missing_keys.push_back(name);
    }
  }
  for (const auto& [name, tensor] : given) {
    if (!own.contains(name)) keys.unexpected_keys.push_back(name);
  }
  for (const auto& [name, why] : given.left_out()) keys.unexpected_keys.push_back(name);  // those of `own` were refused above
  return keys;
}

/// Throws `std::invalid_argument` that lists `keys`, those of `own` and `given`, if there are any. It says which prefix would help.
/// `has_strict`: whether `call` can also load with strict = false.
inline void require_same_names(std::string_view call, const IncompatibleKeys& keys, const StateDict& own, const StateDict& given,
                               bool has_strict) {
  if (keys.empty()) return;
  const auto names_of = [](const StateDict& state) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : state) names.push_back(name);
    return names;
  };
  std::string parts;
  const auto add = [&](const std::string& part) { parts += (parts.empty() ? "" : "; ") + part; };
  if (!keys.missing_keys.empty()) add(formatted("missing {}", list_names(keys.missing_keys)));
  if (!keys.unexpected_keys.empty()) add(formatted("unexpected {}", list_names(keys.unexpected_keys)));
  if (const std::string hint = prefix_hint(names_of(own), names_of(given), has_strict); !hint.empty()) add(hint);
  throw std::invalid_argument(formatted("{}: {}", call, parts));
}

/// For states that are taken over whole: throws `std::invalid_argument` unless names, shapes and dtypes are the same.
inline void require_same_entries(std::string_view call, const StateDict& own, const StateDict& given) {
  require_same_names(call, incompatible_keys(call, own, given, Takes::same_dtype), own, given, /*has_strict=*/false);
}

}  // namespace gpucnn
