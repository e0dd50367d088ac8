#include <algorithm>
#include <cstdint>
#include <limits>

#include <gpucnn/kernels/copy/round_to_bf16.h>
#include <gpucnn/kernels/fused/conv2d_relu_pool_cpu.h>
#include <gpucnn/kernels/simd/vector_size.h>
#include <gpucnn/kernels/winograd/filter_range.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/fused/conv2d_relu_pool_weights_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/vectors-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// U = G w G^T of all weights: [16][C][K in blocks], from weights as `ForwardBand` has them.
void transform_weights(const float* packed, std::int64_t K, std::int64_t C, float* to) {
  const Floats d;
  const std::int64_t padded = cpu::round_up(K, cpu::kVector), element = C * padded;
  const Vector half = hn::Set(d, 0.5F);
  const auto expand = [half](Vector w0, Vector w1, Vector w2, Vector* out) HWY_ATTR {
    const Vector ends = hn::Add(w0, w2);
    out[0] = w0;
    out[1] = hn::Mul(half, hn::Add(ends, w1));
    out[2] = hn::Mul(half, hn::Sub(ends, w1));
    out[3] = w2;
  };
  for (std::int64_t k = 0; k < padded; k += kLanes) {
    const float* from = packed + k / cpu::kVector * 9 * C * cpu::kVector + k % cpu::kVector;
    for (std::int64_t c = 0; c < C; ++c) {
      const auto w = [&](int r, int s) HWY_ATTR { return hn::Load(d, from + ((r * 3 + s) * C + c) * cpu::kVector); };
      Vector columns[3][4];
#pragma GCC unroll 3
      for (int s = 0; s < 3; ++s) expand(w(0, s), w(1, s), w(2, s), columns[s]);
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        Vector u[4];
        expand(columns[0][r], columns[1][r], columns[2][r], u);
#pragma GCC unroll 4
        for (int s = 0; s < 4; ++s) hn::Store(u[s], d, to + (r * 4 + s) * element + c * padded + k);
      }
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(transform_weights);

namespace {

/// weight: [K][3][3 C] -> [K in blocks of kVector][3][3 C][kVector]; channels beyond K are zero.
void pack_weights(const float* weight, std::int64_t K, std::int64_t taps, float* to) {
  for (std::int64_t block = 0; block < K; block += cpu::kVector, to += taps * cpu::kVector) {
    const std::int64_t count = std::min(cpu::kVector, K - block);
    if (count < cpu::kVector) std::fill_n(to, taps * cpu::kVector, 0.0F);
    for (std::int64_t k = 0; k < count; ++k) {
      const float* from = weight + (block + k) * taps;
      for (std::int64_t t = 0; t < taps; ++t) to[t * cpu::kVector + k] = from[t];
    }
  }
}

/// The magnitude of inputs up to which all sums are finite, for weights and biases up to these magnitudes. Negative if these are
/// too large themselves, or not finite. Winograd's sums are the larger ones. The rows of B, G and A have magnitudes that add up to
/// 2, 3/2 and 3. Each matrix is applied twice, which makes 81.
float max_input(float weight, float bias, std::int64_t C) {
  constexpr float kMax = std::numeric_limits<float>::max() / 4;
  if (!(weight <= kMax / 4 && bias <= kMax)) return -1;
  return kMax / std::max(1.0F, 81 * static_cast<float>(C) * weight);
}

}  // namespace

Conv2dReluPoolWeights::Packed Conv2dReluPoolWeights::pack(const Tensor& weight, const Tensor& bias, Precision precision) {
  const std::int64_t K = weight.dim(0), C = weight.dim(1), taps = 9 * C, channels = cpu::round_up(K, cpu::kVector);
  const bool many = C >= 8;  // the transforms pay off only for many channels
  if (precision != precision_ || !weight_.are_those_of(weight) || !bias_.are_those_of(bias)) {
    weight_.forget();  // stays so if an allocation throws
    Tensor packed = Tensor::empty({channels * (taps + 1) + (many ? 16 * C * channels : 0)});
    float* const weights = packed.data<float>();
    float* const biases = weights + channels * taps;
    pack_weights(weight.data<float>(), K, taps, weights);
    std::fill_n(biases, channels, 0.0F);
    if (bias.defined()) std::copy_n(bias.data<float>(), K, biases);
    if (precision == Precision::bf16) cpu::round_to_bf16(weights, channels * (taps + 1), weights);
    max_input_ = max_input(cpu::max_abs(weights, channels * taps), cpu::max_abs(biases, channels), C);
    winograd_ = many && cpu::filter_range(weight.data<float>(), K, 9, C, false).even;
    if (winograd_) HWY_DYNAMIC_DISPATCH(transform_weights)(weights, K, C, biases + channels);
    packed_ = packed;
    bias_.note(bias);
    weight_.note(weight);
    precision_ = precision;
  }
  const float* const weights = std::as_const(packed_).data<float>();
  const float* const biases = weights + channels * taps;
  return {weights, biases, winograd_ ? biases + channels : nullptr, max_input_};
}

}  // namespace gpucnn::kernels
#endif
