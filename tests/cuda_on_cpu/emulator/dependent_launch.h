#pragma once

#include "emulator/emulator.h"

/// What core/gpu/dependent_launch.h is to nvcc. Kernels run one after the other here, so what is read too early is not seen, but a
/// thread that never waits is.
namespace gpucnn {

inline void launch_dependents() {}
inline void wait_for_previous_kernel() { emulator::waited_for_previous_kernel(); }

}  // namespace gpucnn
