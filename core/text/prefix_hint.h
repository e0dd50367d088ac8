#pragma once

#include <span>
#include <string>

namespace gpucnn {

/// For names of a state, `given`, that are not those that were wanted, `own`: which call of StateDict would make them fit, as half
/// a sentence; empty if no prefix does. The prefix is a path with its dot, as `module.` or `model._orig_mod.`.
///
/// `has_strict`: whether the reader of the hint can load with strict = false. Then it also names a prefix after which half of `own`
/// or all of `given` fit.
std::string prefix_hint(std::span<const std::string> own, std::span<const std::string> given, bool has_strict);

}  // namespace gpucnn
