#pragma once

#include <cstdint>
#include <utility>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/common/all_finite.h>
#include <gpucnn/kernels/common/seen_values.h>

namespace gpucnn::kernels::cpu {

/// The weights of a depthwise convolution as its kernels read them. They are kept, and packed again where they have changed. One
/// thread at a time.
class PackedTaps {
 public:
  /// `weight`, [K, taps], as [taps, K].
  const float* of(const Tensor& weight, std::int64_t taps, std::int64_t K) {
    if (!seen_.are_those_of(weight)) {
      seen_.forget();
      if (!packed_.defined()) packed_ = Tensor::empty({taps, K});
      const float* const from = weight.data<float>();
      float* const to = packed_.data<float>();
      for (std::int64_t k = 0; k < K; ++k) {
        for (std::int64_t tap = 0; tap < taps; ++tap) to[tap * K + k] = from[k * taps + tap];
      }
      are_finite_ = all_finite(to, packed_.numel());
      seen_.note(weight);
    }
    return std::as_const(packed_).data<float>();
  }
  bool are_finite() const noexcept { return are_finite_; }
  /// What `of` gave last.
  const float* data() const { return packed_.data<float>(); }

 private:
  SeenValues seen_;  // the weights of packed_
  Tensor packed_;
  bool are_finite_ = false;
};

}  // namespace gpucnn::kernels::cpu
