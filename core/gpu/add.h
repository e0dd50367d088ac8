#pragma once

#include <cstdint>

#include <gpucnn/core/device.h>

namespace gpucnn::gpu {

/// sum[i] += more[i] for `count` floats in this GPU's memory.
void add(Device device, float* sum, const float* more, std::int64_t count);

}  // namespace gpucnn::gpu
