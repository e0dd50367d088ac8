#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <gpucnn/core/bf16.h>
#include <gpucnn/core/dtype.h>
#include <gpucnn/core/gpu/launch.h>

/// How the CUDA twins walk memory: several elements at a time, up to 16 bytes, where every pointer is aligned to that. A view need
/// not be. In .cu files only.
namespace gpucnn::kernels::cuda {

/// `kWidth` neighbours in memory, read or written by one instruction.
template <class T, int kWidth>
struct alignas(sizeof(T) * kWidth) Lanes {
  T at[kWidth];
};

template <int kWidth, class T>
__device__ Lanes<T, kWidth> load(const T* from) {
  if constexpr (kWidth == 4 && std::is_same_v<T, float>) {
    // As a float4: the compiler splits the load of a structure whose members are used one by one.
    const float4 four = *reinterpret_cast<const float4*>(from);
    return {{four.x, four.y, four.z, four.w}};
  } else {
    return *reinterpret_cast<const Lanes<T, kWidth>*>(from);
  }
}

template <class T, int kWidth>
__device__ void store(const Lanes<T, kWidth>& lanes, T* to) {
  if constexpr (kWidth == 4 && std::is_same_v<T, float>) {
    *reinterpret_cast<float4*>(to) = make_float4(lanes.at[0], lanes.at[1], lanes.at[2], lanes.at[3]);  // as in `load`
  } else {
    *reinterpret_cast<Lanes<T, kWidth>*>(to) = lanes;
  }
}

/// Activations are f32 or bf16; what is computed with them is computed in f32.
__device__ inline float widen(float value) { return value; }
__device__ inline float widen(bf16 value) { return to_float(value); }

template <class T>
__device__ T narrow(float value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return to_bf16(value);
  } else {
    return value;
  }
}

/// Calls `body` with an element of the dtype, f32 or bf16: `[&]<class T>(T) { … }`.
template <class Body>
void for_activation(DType dtype, const Body& body) {
  if (dtype == DType::bf16) {
    body(bf16{});
  } else {
    body(0.0F);
  }
}

/// Whether `kWidth` elements at a time can be read and written from all of these pointers on; null can.
template <int kWidth, class... T>
__host__ __device__ bool are_aligned(const T*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % (sizeof(T) * kWidth) == 0) && ...);
}

/// to[0] to to[count - 1] = the first of the lanes; `count` > 0 may be larger than 4, and `to` need not be aligned.
__device__ inline void store_some(const Lanes<float, 4>& lanes, std::int64_t count, float* to) {
  if (count >= 4 && are_aligned<4>(to)) return store(lanes, to);
  for (int i = 0; i < 4 && i < count; ++i) to[i] = lanes.at[i];
}

/// The sum of a[i] * b[i] over `count` elements, added in this order. The pointers need not be aligned.
__device__ inline float dot(const float* a, const float* b, std::int64_t count) {
  float sum = 0;
  std::int64_t i = 0;
  if (are_aligned<4>(a, b)) {
    for (; i + 4 <= count; i += 4) {
      const auto p = load<4>(a + i), q = load<4>(b + i);
      for (int k = 0; k < 4; ++k) sum = fmaf(p.at[k], q.at[k], sum);
    }
  }
  for (; i < count; ++i) sum = fmaf(a[i], b[i], sum);
  return sum;
}

/// The threads of a block in the grids below.
inline constexpr int kThreads = 256;

/// The grid of a grid-stride loop over `items`: at most 32 blocks for each SM, which limits the tail wave. More blocks would only
/// repeat the setup.
inline LaunchShape grid(const Stream& stream, std::int64_t items) {
  const std::int64_t max_blocks = std::int64_t{32} * gpu::queue(stream.device()).multiprocessors();
  return {std::min((items + kThreads - 1) / kThreads, max_blocks), kThreads};
}

/// The grid of `for_elements`.
inline LaunchShape element_grid(const Stream& stream, std::int64_t count, bool wide, int at_once) {
  const std::int64_t quads = (count + 3) / 4;
  return grid(stream, wide ? (quads + at_once - 1) / at_once : count);
}

/// Calls `put(i, get(width, i))` for the elements [0, count): `width`, a std::integral_constant, says how many elements from `i` on
/// are meant. It is 4 if `wide`, except for the elements behind the last four, and 1 otherwise. A thread has `kAtOnce` fours in
/// flight; `put` may write what the same `i` has read.
template <int kAtOnce, class Get, class Put>
__device__ void for_elements(std::int64_t count, bool wide, const Get& get, const Put& put) {
  const std::integral_constant<int, 4> four;
  const std::integral_constant<int, 1> one;
  const std::int64_t fours = wide ? count / 4 : 0;
  const std::int64_t block = blockIdx.x, tile = std::int64_t{kAtOnce} * kThreads;
  for (std::int64_t first = block * tile + threadIdx.x; first < fours; first += gridDim.x * tile) {
    decltype(get(four, first)) values[kAtOnce];
    for (int k = 0; k < kAtOnce; ++k) {
      if (first + k * kThreads < fours) values[k] = get(four, 4 * (first + k * kThreads));
    }
    for (int k = 0; k < kAtOnce; ++k) {
      if (first + k * kThreads < fours) put(4 * (first + k * kThreads), values[k]);
    }
  }
  for (std::int64_t i = 4 * fours + block * kThreads + threadIdx.x; i < count; i += std::int64_t{gridDim.x} * kThreads) {
    put(i, get(one, i));
  }
}

}  // namespace gpucnn::kernels::cuda
