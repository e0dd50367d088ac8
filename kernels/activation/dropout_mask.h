#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/gpu/step_state.h>
#include <gpucnn/core/random.h>

/// What dropout multiplies elements by, on a GPU: see dropout.h. In .cu files only.
namespace gpucnn::kernels::cuda {

/// The factor of an element is 0 where the upper 24 bits of its word are below `threshold`, and `scale` elsewhere.
struct DropoutMask {
  RandomStream random;
  std::uint32_t threshold;
  float scale;

  static DropoutMask of(double p, const RandomStream& random) {
    // uniform(e) is the upper 24 bits of a word times 2^-24, so that it is below p exactly where those bits are below this.
    return {random, static_cast<std::uint32_t>(std::ceil(p * 0x1p24)), p < 1 ? static_cast<float>(1 / (1 - p)) : 0.0F};
  }

  /// A captured step counts by `state`, which is null otherwise.
  __device__ DropoutMask todays(const StepState* state) const {
    DropoutMask mask = *this;
    if (state) mask.random = mask.random.at(state->random_step);
    return mask;
  }

  __device__ float factor(std::uint32_t word) const { return word >> 8 < threshold ? 0 : scale; }
};

/// words[k], without an index that would put them into memory.
__device__ inline std::uint32_t word_of(const std::array<std::uint32_t, 4>& words, std::int64_t k) {
  return k == 0 ? words[0] : k == 1 ? words[1] : k == 2 ? words[2] : words[3];
}

}  // namespace gpucnn::kernels::cuda
