#pragma once

#include <type_traits>

#include "emulator/launch.h"

/// What <cuda_runtime.h> is to a user's .cu file, for the emulator: the device language, and the launch that is a function.
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  const auto call = std::make_shared<gpucnn::emulator::KernelCall<Parameters...>>(
      "a user's kernel", config->gridDim.x,
      gpucnn::LaunchShape{config->gridDim.x, static_cast<int>(config->blockDim.x), config->dynamicSmemBytes}, kernel,
      static_cast<Parameters>(arguments)...);
  return gpucnn::standin::enqueue_kernel(config->stream, call);
}
