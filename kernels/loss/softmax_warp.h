#pragma once

#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/kernels/cuda/compensated.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/loss/row_fours.h>

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

/// A row that is read once: `kLanesOfRow` lanes have its exponentials, exp(x[c] - largest), as RowFours. Its members are called by
/// all lanes of a warp. A row without elements may be made, whose results mean nothing.
template <class T, int kLanesOfRow, int kFours>
class HeldRow {
 public:
  static constexpr int kLanes = kLanesOfRow;

  /// `wide`: whether four elements of x can be read at once, from its first on.
  __device__ HeldRow(const T* x, std::int64_t C, bool wide) : fours_(C) {
    fours_.load_row(x, wide, minus_infinity(), values_);
    largest_ = values_[0];
    GPUCNN_UNROLL
    for (int k = 1; k < Fours::kCount; ++k) largest_ = fmaxf(largest_, values_[k]);
    largest_ = group_largest<kLanes>(largest_);
    GPUCNN_UNROLL
    for (int k = 0; k < Fours::kCount; ++k) values_[k] = exp_below(values_[k], largest_);
  }

  __device__ float largest() const { return largest_; }
  /// Whether column c is this lane's.
  __device__ bool owns(int c) const { return fours_.owns(c); }
  /// Makes the exponential of column c 0.
  __device__ void leave_out(int c) {
    GPUCNN_UNROLL
    for (int k = 0; k < Fours::kCount; ++k) values_[k] = fours_.is_at(k, c) ? 0.0F : values_[k];
  }

  /// In every lane the sum of the exponentials. None is negative, so that four of them add up with two roundings; the sums of fours
  /// are compensated.
  __device__ float sum() const {
    Compensated sum;
    GPUCNN_UNROLL
    for (int k = 0; k < Fours::kCount; k += 4) sum = sum + ((values_[k] + values_[k + 1]) + (values_[k + 2] + values_[k + 3]));
    return group_sum<kLanes>(sum).value();
  }

  /// to[c] = scale * exp(x[c] - largest). `wide`: as above, of `to`.
  __device__ void write(float scale, T* to, bool wide) const {
    fours_.store_row([&](int k) { return values_[k] * scale; }, to, wide);
  }

 private:
  using Fours = RowFours<kLanes, kFours>;

  __device__ static T minus_infinity() {
    if constexpr (std::is_same_v<T, bf16>) {
      return {0xFF80};
    } else {
      return -std::numeric_limits<T>::infinity();
    }
  }

  Fours fours_;
  float largest_;
  typename Fours::Values values_;
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
  for_row_fours(C, [&]<int kLanes, int kFours>(std::integral_constant<int, kLanes>, std::integral_constant<int, kFours>) {
    if constexpr (kFours > 0) {
      body(std::type_identity<HeldRow<T, kLanes, kFours>>());
    } else {
      body(std::type_identity<LongRow<T>>());
    }
  });
}

/// Rows that a block has at once.
template <class Row>
inline constexpr int kRowsOfBlock = kThreads / Row::kLanes;

}  // namespace gpucnn::kernels::cuda
