#pragma once

#include <cstdint>

#include <gpucnn/kernels/linear/gemm_arithmetic.h>

/// How a product is divided among blocks. In .cu files only.
namespace gpucnn::kernels::cuda::gemm {

/// A slice of K is a multiple of this: the deepest k-tile.
inline constexpr std::int64_t kMinSlice = 64;

/// Consecutive parts of a whole.
struct Parts {
  std::int64_t count, length;  // of each but perhaps the last
};

inline std::int64_t ceil_div(std::int64_t whole, std::int64_t each) { return (whole + each - 1) / each; }

/// Tiles that a whole takes.
inline int tiles_of(std::int64_t whole) { return static_cast<int>(ceil_div(whole, kTile)); }

/// About `wanted` parts, no more, each a multiple of kMinSlice.
inline Parts parts_of(std::int64_t whole, std::int64_t wanted) {
  const std::int64_t length = ceil_div(ceil_div(whole, wanted), kMinSlice) * kMinSlice;
  return {ceil_div(whole, length), length};
}

/// Blocks that fill a large GPU: two for each of 132 multiprocessors.
inline constexpr std::int64_t kFillingBlocks = 264;
/// Steps of K that one sum takes in f32, beyond which it becomes inexact.
inline constexpr std::int64_t kMaxInSum = 1024;

}  // namespace gpucnn::kernels::cuda::gemm
