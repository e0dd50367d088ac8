#pragma once

#include <cstdint>

#include <gpucnn/kernels/cuda/rounded_store.h>
#include <gpucnn/kernels/cuda/vector_access.h>

/// Rows of a matrix in the registers of a warp's lanes. In .cu files only.
namespace gpucnn::kernels::cuda {

/// What one of `kLanes` lanes has of a row: `kFours` times four columns side by side. C is at most kMaxColumns.
template <int kLanes, int kFours>
class RowFours {
 public:
  static constexpr int kMaxColumns = 4 * kLanes * kFours;
  static constexpr int kCount = 4 * kFours;
  using Values = float[kCount];

  __device__ explicit RowFours(std::int64_t C)
      : lane_(static_cast<int>(threadIdx.x) % kLanes), left_(static_cast<int>(C) - 4 * lane_) {}

  /// Whether column c is this lane's.
  __device__ bool owns(int c) const { return c / 4 % kLanes == lane_; }
  /// Whether it is its k-th.
  __device__ bool is_at(int k, int c) const { return column(k) == c - 4 * lane_; }

  /// The row from x on; `fill` where there is no column. `wide`: whether fours can be read at once. All is read before it is used.
  template <class T>
  __device__ void load_row(const T* x, bool wide, T fill, Values& values) const {
    Lanes<T, 4> fours[kFours];
    const T* const from = x + 4 * lane_;
    GPUCNN_UNROLL
    for (int q = 0; q < kFours; ++q) {
      for (int i = 0; i < 4; ++i) fours[q].at[i] = fill;
      if (wide && column(4 * q) < left_) fours[q] = load<4>(from + column(4 * q));
    }
    if (!wide) {
      GPUCNN_UNROLL
      for (int k = 0; k < kCount; ++k) {
        if (column(k) < left_) fours[k / 4].at[k % 4] = from[column(k)];
      }
    }
    GPUCNN_UNROLL
    for (int k = 0; k < kCount; ++k) values[k] = widen(fours[k / 4].at[k % 4]);
  }

  /// value(k) to the row from `to` on. `wide`: as above.
  template <class T, class Value>
  __device__ void store_row(const Value& value, T* to, bool wide) const {
    T* const own = to + 4 * lane_;
    GPUCNN_UNROLL
    for (int q = 0; q < kFours; ++q) {
      Lanes<float, 4> four;
      for (int i = 0; i < 4; ++i) four.at[i] = value(4 * q + i);
      if (wide) {
        if (column(4 * q) < left_) store_rounded(four, own + column(4 * q));
      } else {
        for (int i = 0; i < 4; ++i) {
          if (column(4 * q + i) < left_) own[column(4 * q + i)] = narrow<T>(four.at[i]);
        }
      }
    }
  }

 private:
  /// A lane's k-th column, from its first on.
  __device__ static constexpr int column(int k) { return k / 4 * 4 * kLanes + k % 4; }

  int lane_, left_;  // left: columns from the lane's first on
};

/// Calls `body` with how many lanes have a row of C elements and how many fours each has, both as std::integral_constant; no fours
/// for a row that is too long.
template <class Body>
void for_row_fours(std::int64_t C, const Body& body) {
  const auto call = [&]<int kLanes, int kFours>() {
    body(std::integral_constant<int, kLanes>(), std::integral_constant<int, kFours>());
  };
  if (C <= RowFours<4, 1>::kMaxColumns) {
    call.template operator()<4, 1>();  // eight rows for each warp
  } else if (C <= RowFours<32, 1>::kMaxColumns) {
    call.template operator()<32, 1>();
  } else if (C <= RowFours<32, 8>::kMaxColumns) {
    call.template operator()<32, 8>();
  } else {
    call.template operator()<32, 0>();
  }
}

}  // namespace gpucnn::kernels::cuda
