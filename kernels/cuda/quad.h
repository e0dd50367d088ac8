#pragma once

#include <gpucnn/core/gpu/launch.h>

/// Four consecutive floats of an array, in one access where its address allows. In .cu files only.
namespace gpucnn::kernels::cuda {

inline constexpr int kQuad = 4;

__device__ inline bool on_16_bytes(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer) % 16 == 0; }

/// to[0] to to[count - 1] = values, with count > 0; of more than four the first four.
__device__ inline void store_quad(const float (&values)[kQuad], std::int64_t count, float* to) {
  if (count >= kQuad && on_16_bytes(to)) {
    *reinterpret_cast<float4*>(to) = make_float4(values[0], values[1], values[2], values[3]);
    return;
  }
  for (int i = 0; i < kQuad && i < count; ++i) to[i] = values[i];
}

/// The sum of a[i] * b[i] over `count` elements.
__device__ inline float dot(const float* a, const float* b, std::int64_t count) {
  float sum = 0;
  std::int64_t i = 0;
  if (on_16_bytes(a) && on_16_bytes(b)) {
    for (; i + kQuad <= count; i += kQuad) {
      const float4 p = *reinterpret_cast<const float4*>(a + i), q = *reinterpret_cast<const float4*>(b + i);
      sum = fmaf(p.x, q.x, sum);
      sum = fmaf(p.y, q.y, sum);
      sum = fmaf(p.z, q.z, sum);
      sum = fmaf(p.w, q.w, sum);
    }
  }
  for (; i < count; ++i) sum = fmaf(a[i], b[i], sum);
  return sum;
}

}  // namespace gpucnn::kernels::cuda
