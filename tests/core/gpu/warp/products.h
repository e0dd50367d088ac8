#pragma once

#include <cstdint>

#include <gpucnn/core/dtype.h>
#include <gpucnn/core/stream.h>

/// Kernels that a GPU and the emulator both run: what core/gpu/warp/ has, put together as products of small matrices. Pointers are
/// device memory, rows of matrices lie one after the other. One warp makes 16 x 8 of a product; M is a multiple of 16, N of 8.
namespace gpucnn::products {

/// y[M, N] = a[M, K] b[K, N] for K a multiple of 16: cp.async of 16 bytes two steps ahead, ldmatrix, transposed for b, mma.
void bf16_rows(const Stream& stream, const bf16* a, const bf16* b, float* y, int M, int N, int K);

/// y[M, N] = a[M, K] b[N, K]^T for any K: cp.async of 4 bytes of which what is behind a row is zeros, so K is even; ldmatrix, mma.
void bf16_columns(const Stream& stream, const bf16* a, const bf16* b, float* y, int M, int N, int K);

/// y[M, N] = a[M, K] b[N, K]^T in tf32 for any K: cp.async of 4 bytes, ldmatrix of floats, mma.
void tf32_columns(const Stream& stream, const float* a, const float* b, float* y, int M, int N, int K);

/// Two bf16 a word, for `count` words: y = pack(x[2 i], x[2 i + 1]), then larger = max(y, z), equal = mask(y, z).
void packed(const Stream& stream, const float* x, const std::uint32_t* z, std::uint32_t* y, std::uint32_t* larger,
            std::uint32_t* equal, int count);

/// y[i] += 1 for 64 numbers in each of `count` launches, of which each overlaps the one before.
void overlapped_steps(const Stream& stream, float* y, int count);

/// y[0] = the sum of 0 to words - 1, through `words` words of dynamic shared memory.
void sum_of_shared(const Stream& stream, float* y, int words);

}  // namespace gpucnn::products
