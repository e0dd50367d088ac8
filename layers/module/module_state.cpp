#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <gpucnn/core/bf16.h>
#include <gpucnn/core/state_entry.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/layers/module/module_root.h>
#include <gpucnn/layers/module/module_tree.h>

namespace gpucnn {
namespace {

/// The name relative to the module whose path is `path`.
std::string relative(const std::string& name, const std::string& path) {
  return path.empty() ? name : name.substr(path.size() + 1);
}

/// The values of a tensor on the CPU as f32, rounded to the nearest, ties to even.
template <class T>
Tensor rounded(const Tensor& tensor) {
  const FloatEnvironment standard;
  Tensor result = Tensor::empty(tensor.shape());
  std::transform(tensor.data<T>(), tensor.data<T>() + tensor.numel(), result.data<float>(), [](T value) {
    if constexpr (std::is_same_v<T, bf16>) {
      return to_float(value);
    } else {
      return static_cast<float>(value);
    }
  });
  return result;
}

/// The same of a tensor of any dtype, on any device.
Tensor as_f32(const Tensor& tensor) {
  Tensor host = tensor.to(Device::cpu());
  switch (host.dtype()) {
    case DType::f32: break;
    case DType::bf16: return rounded<bf16>(host);
    case DType::i32: return rounded<std::int32_t>(host);
    case DType::i64: return rounded<std::int64_t>(host);
    case DType::u8: return rounded<std::uint8_t>(host);
  }
  return host;
}

}  // namespace

StateDict Module::state_dict() {
  packed_root();
  StateDict state;
  for (auto& [name, tensor] : ModuleTree(*this, path_).state) state.add(relative(name, path_), tensor);
  return state;
}

IncompatibleKeys Module::load_state_dict(const StateDict& state, bool strict) {
  const StateDict own = state_dict();
  const ExclusiveCall alone(*root_, *this);
  IncompatibleKeys keys = incompatible_keys("load_state_dict", own, state, Takes::all_as_f32);
  if (strict) require_same_names("load_state_dict", keys, own, state, /*has_strict=*/true);
  std::vector<std::pair<Tensor, Tensor>> copies;  // to and from; made first, for whatever throws comes before the first change
  for (const auto& [name, tensor] : own) {
    if (const Tensor* given = state.find(name))
      copies.emplace_back(tensor, given->dtype() == tensor.dtype() ? *given : as_f32(*given));
  }
  for (auto& [to, from] : copies) to.copy_from(from);
  return keys;
}

}  // namespace gpucnn
