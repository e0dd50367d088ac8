#pragma once

#include <cstdint>

/// Products of small matrices on tensor cores: D = A * B + D, for a whole warp. In .cu files only.
///
/// All 32 threads of a warp call these together, or the kernel hangs. Thread `lane` holds a fragment of each matrix. With
/// g = lane / 4 and t = lane % 4 the fragments lie as the PTX ISA says in "Matrix Fragments for mma.m16n8k16 with floating point
/// type" and "Matrix Fragments for mma.m16n8k8".
///
/// Products are exact. How they are added, and how sums are rounded, NVIDIA does not say; GPUs lose some of the last bits. So the
/// bits may differ from one kind of GPU to another. The emulator adds in double and rounds once.
///
/// From compute capability 8.0 on. On 7.5 a kernel that comes here is stopped by a trap: callers choose FFMA there.
namespace gpucnn::warp {

/// D[16][8] += A[16][16] * B[16][8] in bf16, with sums in f32. Of two bf16 in a word the first is the lower half.
///   a[0] = A[g][2t, 2t + 1]      a[1] = A[g + 8][2t, 2t + 1]
///   a[2] = A[g][2t + 8, 2t + 9]  a[3] = A[g + 8][2t + 8, 2t + 9]
///   b[0] = B[2t, 2t + 1][g]      b[1] = B[2t + 8, 2t + 9][g]
///   d[0], d[1] = D[g][2t, 2t + 1]  d[2], d[3] = D[g + 8][2t, 2t + 1]
/// `ldmatrix` reads A in this layout from rows of A, and B from its columns, or transposed from its rows.
__device__ __forceinline__ void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();
#endif
}

/// D[16][8] += A[16][8] * B[8][8] in tf32, with sums in f32. Operands are what `to_tf32` gives.
///   a[0] = A[g][t]      a[1] = A[g + 8][t]
///   a[2] = A[g][t + 4]  a[3] = A[g + 8][t + 4]
///   b[0] = B[t][g]      b[1] = B[t + 4][g]
///   d[0], d[1] = D[g][2t, 2t + 1]  d[2], d[3] = D[g + 8][2t, 2t + 1]
/// `ldmatrix` reads such an A from rows of f32, since a pair of bf16 takes the place of a float.
__device__ __forceinline__ void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  __trap();
#endif
}

/// The nearest number with 10 bits of mantissa, of two equally near the larger: cvt.rna.tf32.f32. NaN stays NaN, and what is too
/// large becomes infinity. A float that is not rounded so must not be given to `mma_tf32`, where it would be cut off, if not worse:
/// the PTX ISA says that the layout of tf32 is the GPU's own.
__device__ __forceinline__ std::uint32_t to_tf32(float value) {
  std::uint32_t rounded = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(value));
#else
  __trap();
#endif
  return rounded;
}

}  // namespace gpucnn::warp
