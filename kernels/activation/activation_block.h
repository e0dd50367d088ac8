#pragma once

#include <cstdint>

#include <gpucnn/kernels/activation/activation.h>

namespace gpucnn::kernels::cpu {

/// y = function(y) on the calling thread: the epilogue of kernels that have just written y, while it is in cache. oneDNN's own ReLU
/// will not do, for it turns NaN into 0.
void activation_block(const Activation& function, float* y, std::int64_t count);

/// dx = dx * function'(x) in the same way, as `activation_backward` has it from `kept`.
void activation_backward_block(const Activation& function, const float* kept, float* dx, std::int64_t count);

}  // namespace gpucnn::kernels::cpu

namespace gpucnn::kernels {

/// Whether it computes an exponential, which costs a kernel registers.
bool activation_has_exponential(const Activation& function) noexcept;

}  // namespace gpucnn::kernels
