#pragma once

#include <gpucnn/core/gpu/warp/packed_bf16.h>
#include <gpucnn/kernels/cuda/vector_access.h>

/// Four floats as an activation's dtype. In .cu files only.
namespace gpucnn::kernels::cuda {

/// `to` is aligned to four elements. A NaN stays one.
__device__ inline void store_rounded(const Lanes<float, 4>& lanes, float* to) { store(lanes, to); }
__device__ inline void store_rounded(const Lanes<float, 4>& lanes, bf16* to) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  const std::uint32_t first = warp::pack_bf16(lanes.at[0], lanes.at[1]), second = warp::pack_bf16(lanes.at[2], lanes.at[3]);
  *reinterpret_cast<uint2*>(to) = make_uint2(first, second);
#else
  Lanes<bf16, 4> rounded;
  for (int i = 0; i < 4; ++i) rounded.at[i] = narrow<bf16>(lanes.at[i]);
  store(rounded, to);
#endif
}

}  // namespace gpucnn::kernels::cuda
