#pragma once

#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/kernels/cuda/compensated.h>
#include <gpucnn/kernels/cuda/rounded_store.h>
#include <gpucnn/kernels/cuda/vector_access.h>

#include <cmath>
#include <limits>
#include <type_traits>

/// One row of softmax for a group of a warp's lanes: the twin of softmax_row.h, without doubles. In .cu files only.
namespace gpucnn::kernels::cuda {

/// exp(x - largest) for x <= largest. The difference's own rounding would show in the result, so it is put back: exp(d + r) is
/// exp(d) (1 + r) for so small an r. NaN where softmax is: for NaN, +infinity, and -infinity as the largest.
__device__ inline float exp_below(float x, float largest) {
  constexpr float kLeast = -128;  // e to that power is 0 in f32; below, r may be NaN
  const Compensated d = two_sum(x, -largest);
  const float e = expf(d.high);
  return d.high > kLeast ? fmaf(e, d.low, e) : e;
}

/// In every lane the largest of its group of `kLanes` lanes; NaN is passed over.
template <int kLanes>
__device__ float group_largest(float value) {
  for (int distance = kLanes / 2; distance > 0; distance /= 2) value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, distance));
  return value;
}

/// A row that is read once: each of `kLanesOfRow` lanes has `kFours` fours of its exponentials, exp(x[c] - largest). Its members
/// are called by all lanes of a warp. A row without elements may be made, whose results mean nothing.
template <class T, int kLanesOfRow, int kFours>
class HeldRow {
 public:
  static constexpr int kLanes = kLanesOfRow;
  static constexpr int kMaxColumns = 4 * kLanes * kFours;

  /// `wide`: whether four elements of x can be read at once, from its first on.
  __device__ HeldRow(const T* x, std::int64_t C, bool wide)
      : lane_(static_cast<int>(threadIdx.x) % kLanes), left_(static_cast<int>(C) - 4 * lane_) {
    Lanes<T, 4> fours[kFours];
    const T* const from = x + 4 * lane_;
    GPUCNN_UNROLL
    for (int q = 0; q < kFours; ++q) {
      for (int i = 0; i < 4; ++i) fours[q].at[i] = minus_infinity();
      if (wide && kStep * q < left_) fours[q] = load<4>(from + kStep * q);
    }
    if (!wide) {
      GPUCNN_UNROLL
      for (int k = 0; k < 4 * kFours; ++k) {
        if (column(k) < left_) fours[k / 4].at[k % 4] = from[column(k)];
      }
    }
    largest_ = widen(fours[0].at[0]);
    GPUCNN_UNROLL
    for (int k = 0; k < 4 * kFours; ++k) {
      values_[k] = widen(fours[k / 4].at[k % 4]);
      largest_ = fmaxf(largest_, values_[k]);
    }
    largest_ = group_largest<kLanes>(largest_);
    GPUCNN_UNROLL
    for (int k = 0; k < 4 * kFours; ++k) values_[k] = exp_below(values_[k], largest_);
  }

  __device__ float largest() const { return largest_; }
  /// Whether column c is this lane's.
  __device__ bool owns(int c) const { return c / 4 % kLanes == lane_; }
  /// Makes the exponential of column c 0.
  __device__ void leave_out(int c) {
    GPUCNN_UNROLL
    for (int k = 0; k < 4 * kFours; ++k) values_[k] = column(k) == c - 4 * lane_ ? 0.0F : values_[k];
  }

  /// In every lane the sum of the exponentials. None is negative, so that four of them add up with two
  /// roundings; fours are compensated.
  __device__ float sum() const {
    Compensated sum;
    GPUCNN_UNROLL
    for (int q = 0; q < kFours; ++q) {
      const float* const four = values_ + 4 * q;
      sum = sum + ((four[0] + four[1]) + (four[2] + four[3]));
    }
    return group_sum<kLanes>(sum).value();
  }

  /// to[c] = scale * exp(x[c] - largest). `wide`: as above, of `to`.
  __device__ void write(float scale, T* to, bool wide) const {
    T* const own = to + 4 * lane_;
    GPUCNN_UNROLL
    for (int q = 0; q < kFours; ++q) {
      const float* const four = values_ + 4 * q;
      const Lanes<float, 4> scaled{{four[0] * scale, four[1] * scale, four[2] * scale, four[3] * scale}};
      if (wide) {
        if (kStep * q < left_) store_rounded(scaled, own + kStep * q);
      } else {
        for (int i = 0; i < 4; ++i) {
          if (column(4 * q + i) < left_) own[column(4 * q + i)] = narrow<T>(scaled.at[i]);
        }
      }
    }
  }

 private:
  static constexpr int kStep = 4 * kLanes;  // columns from a lane's four to its next

  /// A lane's k-th column, from its first on.
  __device__ static constexpr int column(int k) { return k / 4 * kStep + k % 4; }
  __device__ static T minus_infinity() {
    if constexpr (std::is_same_v<T, bf16>) {
      return {0xFF80};
    } else {
      return -std::numeric_limits<T>::infinity();
    }
  }

  int lane_, left_;  // left: columns from the lane's first on
  float largest_;
  float values_[4 * kFours];
};

/// The same for a row of any length, which is read again each time. A lane reads what it writes.
template <class T>
class LongRow {
 public:
  static constexpr int kLanes = kWarp;

  __device__ LongRow(const T* x, std::int64_t C, bool) : x_(x), C_(C) {
    float largest = -std::numeric_limits<float>::infinity();
    for (std::int64_t c = lane(); c < C_; c += kLanes) largest = fmaxf(largest, widen(x_[c]));
    largest_ = group_largest<kLanes>(largest);
  }

  __device__ float largest() const { return largest_; }
  __device__ bool owns(int c) const { return c % kLanes == lane(); }
  __device__ void leave_out(int c) { left_out_ = c; }

  __device__ float sum() const {
    Compensated sum;
    for (std::int64_t c = lane(); c < C_; c += kLanes) sum = sum + value(c);
    return group_sum<kLanes>(sum).value();
  }

  __device__ void write(float scale, T* to, bool) const {
    for (std::int64_t c = lane(); c < C_; c += kLanes) to[c] = narrow<T>(scale * value(c));
  }

 private:
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % kLanes; }
  __device__ float value(std::int64_t c) const { return c == left_out_ ? 0.0F : exp_below(widen(x_[c]), largest_); }

  const T* x_;
  std::int64_t C_, left_out_ = -1;
  float largest_;
};

/// Calls `body` with the type of a row of C elements, as std::type_identity.
template <class T, class Body>
void for_row(std::int64_t C, const Body& body) {
  using Few = HeldRow<T, 4, 1>;  // eight rows for each warp
  using Some = HeldRow<T, kWarp, 1>;
  using Many = HeldRow<T, kWarp, 8>;
  if (C <= Few::kMaxColumns) {
    body(std::type_identity<Few>());
  } else if (C <= Some::kMaxColumns) {
    body(std::type_identity<Some>());
  } else if (C <= Many::kMaxColumns) {
    body(std::type_identity<Many>());
  } else {
    body(std::type_identity<LongRow<T>>());
  }
}

/// Rows that a block has at once.
template <class Row>
inline constexpr int kRowsOfBlock = kThreads / Row::kLanes;

}  // namespace gpucnn::kernels::cuda
