#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include <gpucnn/kernels/cuda/vector_access.h>

/// The winners of a max-pooling's windows, of `kWidth` channels at once. In .cu files only.
namespace gpucnn::kernels::cuda {

/// The largest values so far and their indices in the window.
template <int kWidth>
struct Best {
  Lanes<float, kWidth> values;
  int argmax[kWidth];
};

/// The window's first element.
template <class T, int kWidth>
__device__ Best<kWidth> first_best(const Lanes<T, kWidth>& values, int index) {
  Best<kWidth> best;
  for (int k = 0; k < kWidth; ++k) {
    best.values.at[k] = widen(values.at[k]);
    best.argmax[k] = index;
  }
  return best;
}

/// The value with this index in the window wins if it is larger or NaN.
template <class T, int kWidth>
__device__ void update_best(const Lanes<T, kWidth>& values, int index, Best<kWidth>& best) {
  for (int k = 0; k < kWidth; ++k) {
    const float value = widen(values.at[k]);
    const bool wins = static_cast<int>(value > best.values.at[k]) | static_cast<int>(std::isnan(value));  // without a branch
    best.values.at[k] = wins ? value : best.values.at[k];
    best.argmax[k] = wins ? index : best.argmax[k];
  }
}

/// A value that `widen` gave, so that it needs no rounding. NaN becomes a quiet NaN, as in `narrow`.
template <class T>
__device__ T narrow_exactly(float value) {
  if constexpr (std::is_same_v<T, bf16>) {
    return {static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16 | (std::isnan(value) ? 0x40U : 0U))};
  } else {
    return value;
  }
}

/// To y + e, and to argmax + e unless that is null.
template <class T, class Index, int kWidth>
__device__ void store_best(const Best<kWidth>& best, std::int64_t e, T* y, Index* argmax) {
  Lanes<T, kWidth> values;
  for (int k = 0; k < kWidth; ++k) values.at[k] = narrow_exactly<T>(best.values.at[k]);
  store(values, y + e);
  if (!argmax) return;
  Lanes<Index, kWidth> indices;
  for (int k = 0; k < kWidth; ++k) indices.at[k] = static_cast<Index>(best.argmax[k]);
  store(indices, argmax + e);
}

}  // namespace gpucnn::kernels::cuda
