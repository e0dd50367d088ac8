#pragma once

#include <cstdint>

/// Two bf16 in a word, the first in the lower half, as they lie in memory. In .cu files only.
///
/// From compute capability 8.0 on. On 7.5 a kernel that comes here is stopped by a trap.
namespace gpucnn::warp {

/// Both rounded to nearest, ties to even; NaN becomes 0x7FFF. One instruction from 8.0 on: cvt.rn.bf16x2.f32.
__device__ __forceinline__ std::uint32_t pack_bf16(float first, float second) {
  std::uint32_t packed = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(second), "f"(first));
#else
  __trap();
#endif
  return packed;
}

/// The larger of each pair, 0x7FFF where one is NaN; +0 is larger than -0. One instruction from 8.0 on: max.NaN.bf16x2.
__device__ __forceinline__ std::uint32_t max_bf16(std::uint32_t a, std::uint32_t b) {
  std::uint32_t larger = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(larger) : "r"(a), "r"(b));
#else
  __trap();
#endif
  return larger;
}

/// 0xFFFF in each half where the two are equal, else 0: NaN equals nothing, -0 equals +0. One instruction from 9.0 on:
/// set.eq.u32.bf16x2. 8.x compares the halves as floats, which takes about eight.
__device__ __forceinline__ std::uint32_t equal_bf16(std::uint32_t a, std::uint32_t b) {
  std::uint32_t mask = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm("set.eq.u32.bf16x2 %0, %1, %2;" : "=r"(mask) : "r"(a), "r"(b));
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if (__uint_as_float(a << 16) == __uint_as_float(b << 16)) mask |= 0xFFFFU;
  if (__uint_as_float(a & 0xFFFF0000U) == __uint_as_float(b & 0xFFFF0000U)) mask |= 0xFFFF0000U;
#else
  __trap();
#endif
  return mask;
}

}  // namespace gpucnn::warp
