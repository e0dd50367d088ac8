#pragma once

#include <cstdint>

/// Reads matrices of 8 rows of 16 bytes from shared memory into the fragments that `mma_bf16` and `mma_tf32` take. In .cu files
/// only.
///
/// All 32 threads of a warp call these together, or the kernel hangs. Lane 8 i + r gives the address of row r of matrix i: it lies
/// in shared memory at a multiple of 16 bytes. Rows may lie anywhere. With two matrices the addresses of lanes 16 to 31 are not
/// looked at. What other lanes wrote is seen after __syncwarp() or __syncthreads(): this instruction is neither.
///
/// As the PTX ISA says under "ldmatrix", fragments[i] of thread `lane` is, of matrix i as 8 x 8 elements of 16 bits,
///   ldmatrix:             row lane / 4, elements 2 (lane % 4) and 2 (lane % 4) + 1
///   ldmatrix_transposed:  column lane / 4, of rows 2 (lane % 4) and 2 (lane % 4) + 1
/// with the first in the lower half. As 8 x 4 elements of 32 bits `ldmatrix` gives element lane % 4 of row lane / 4.
///
/// From compute capability 8.0 on. On 7.5 a kernel that comes here is stopped by a trap.
namespace gpucnn::warp {

__device__ __forceinline__ void ldmatrix(std::uint32_t (&fragments)[4], const void* row) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragments[0]), "=r"(fragments[1]), "=r"(fragments[2]), "=r"(fragments[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  __trap();
#endif
}

__device__ __forceinline__ void ldmatrix(std::uint32_t (&fragments)[2], const void* row) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(fragments[0]), "=r"(fragments[1])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  __trap();
#endif
}

__device__ __forceinline__ void ldmatrix_transposed(std::uint32_t (&fragments)[4], const void* row) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(fragments[0]), "=r"(fragments[1]), "=r"(fragments[2]), "=r"(fragments[3])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  __trap();
#endif
}

__device__ __forceinline__ void ldmatrix_transposed(std::uint32_t (&fragments)[2], const void* row) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(fragments[0]), "=r"(fragments[1])
               : "r"(static_cast<std::uint32_t>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  __trap();
#endif
}

}  // namespace gpucnn::warp
