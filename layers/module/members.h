#pragma once

#include <string_view>

#include <gpucnn/core/export.h>
#include <gpucnn/core/parameter.h>

namespace gpucnn {

class Module;

/// Receives what a module is made of. A module's `members` calls it once for each of its parameters, buffers and children, in the
/// order of PyTorch's `state_dict`: `m("weight", weight_); m("running_mean", running_mean_); m("shortcut", shortcut_);`.
class GPUCNN_API Members {
 public:
  /// A learned tensor.
  virtual void operator()(std::string_view name, Parameter& parameter) = 0;
  /// A tensor that is saved but not learned. Undefined buffers are passed over.
  virtual void operator()(std::string_view name, Tensor& buffer) = 0;
  /// A module inside this one.
  virtual void operator()(std::string_view name, Module& child) = 0;

 protected:
  ~Members() = default;
};

}  // namespace gpucnn
