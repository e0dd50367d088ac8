#pragma once

#include <gpucnn/core/gpu/warp/packed_bf16.h>
#include <gpucnn/kernels/cuda/vector_access.h>

/// Four floats as an activation's dtype. In .cu files only.
namespace gpucnn::kernels::cuda {

/// `to` is aligned to four elements. A NaN is stored as bf16's 0x7FFF.
__device__ inline void store_rounded(const Lanes<float, 4>& lanes, float* to) { store(lanes, to); }
__device__ inline void store_rounded(const Lanes<float, 4>& lanes, bf16* to) {
  const std::uint32_t first = warp::pack_bf16(lanes.at[0], lanes.at[1]), second = warp::pack_bf16(lanes.at[2], lanes.at[3]);
  *reinterpret_cast<uint2*>(to) = make_uint2(first, second);
}

}  // namespace gpucnn::kernels::cuda
