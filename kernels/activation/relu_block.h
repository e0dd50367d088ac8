#pragma once

#include <cstdint>

namespace gpucnn::kernels::cpu {

/// y = max(y, 0) as `relu` computes it, on the calling thread: for kernels that have just written y, while it is in cache. oneDNN's
/// own ReLU will not do, for it turns NaN into 0.
void relu_block(float* y, std::int64_t count);

}  // namespace gpucnn::kernels::cpu
