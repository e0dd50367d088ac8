#pragma once

#include <utility>

#include <gpucnn/core/config.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn::kernels {

/// Runs the twin of an operation that belongs to the stream's device, in the default floating-point environment. A build without
/// CUDA never refers to the second one, for no stream of a GPU can be made there.
template <class Cpu, class Cuda>
decltype(auto) dispatch(const Stream& stream, Cpu&& cpu, Cuda&& cuda) {
  const FloatEnvironment standard;
  if constexpr (kBuiltWithCuda) {
    if (stream.device().kind == Device::Kind::cuda) return std::forward<Cuda>(cuda)();
  }
  return std::forward<Cpu>(cpu)();
}

}  // namespace gpucnn::kernels
