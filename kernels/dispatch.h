#pragma once

#include <gpucnn/core/config.h>
#include <gpucnn/core/stream.h>

namespace gpucnn::kernels {

/// Runs the twin of an operation that belongs to the stream's device. The CUDA twins take the second place of this call; in a build
/// without CUDA a stream is always the CPU's, because no other can be made.
template <class Cpu>
void dispatch(const Stream&, Cpu&& cpu) {
  static_assert(!kBuiltWithCuda, "a build with CUDA gives each operation two twins");
  cpu();
}

}  // namespace gpucnn::kernels
