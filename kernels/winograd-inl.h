// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_WINOGRAD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_WINOGRAD_INL_H
#undef GPUCNN_KERNELS_WINOGRAD_INL_H
#else
#define GPUCNN_KERNELS_WINOGRAD_INL_H
#endif

#include <gpucnn/kernels/pool_outputs-inl.h>

// Winograd's F(2x2, 3x3): a window of 2x2 outputs, which pooling makes one, from 16 products a channel instead of 36.
// Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015). Errors are relative
// to the largest product in a patch: with numbers of one size no more than those of the longer direct sums.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// [v0 v1 v2 v3] B: a row or column of a patch of the input.
HWY_INLINE void transform_input(Vector& v0, Vector& v1, Vector& v2, Vector& v3) {
  const Vector sum = hn::Add(v1, v2), difference = hn::Sub(v2, v1);
  v0 = hn::Sub(v0, v2);
  v3 = hn::Sub(v1, v3);
  v1 = sum;
  v2 = difference;
}

/// U = G w G^T of all weights: [16][C][K in blocks], from weights as `ForwardBand` has them. False if one is not finite.
bool transform_weights(const float* packed, std::int64_t K, std::int64_t C, float* to) {
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
  Vector zeros = hn::Zero(d);
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
        for (int s = 0; s < 4; ++s) {
          zeros = hn::MulAdd(u[s], hn::Zero(d), zeros);
          hn::Store(u[s], d, to + (r * 4 + s) * element + c * padded + k);
        }
      }
    }
  }
  return hn::AllTrue(d, hn::Eq(zeros, hn::Zero(d)));
}

/// Patches of a group: as many as their sums leave registers for.
constexpr std::int64_t kPatches = kWide ? cpu::kMostPatches : 6;

/// B^T x B of a 4x4 patch of padded input; element e of channel c to e * stride + c / kVector * kPatches * kVector + c % kVector.
/// `zeros` becomes NaN if an element is not finite.
HWY_INLINE void transform_patch(const float* x, std::int64_t C, std::int64_t row, float* to, std::int64_t stride, Vector& zeros) {
  const Floats d;
  for (std::int64_t c = 0; c < C; c += kLanes) {
    Vector v[4][4];
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) {
#pragma GCC unroll 4
      for (int s = 0; s < 4; ++s) v[r][s] = hn::LoadU(d, x + r * row + s * C + c);
      transform_input(v[r][0], v[r][1], v[r][2], v[r][3]);
    }
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      transform_input(v[0][s], v[1][s], v[2][s], v[3][s]);
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        zeros = hn::MulAdd(v[r][s], hn::Zero(d), zeros);
        hn::Store(v[r][s], d, to + (r * 4 + s) * stride + c / cpu::kVector * kPatches * cpu::kVector + c % cpu::kVector);
      }
    }
  }
}

/// Products of P patches of the group with V vectors of channels, for one of the 16 elements of a patch.
template <int P, int V>
HWY_INLINE void multiply(const float* HWY_RESTRICT patches, const float* HWY_RESTRICT weight, std::int64_t C, std::int64_t padded,
                         float* HWY_RESTRICT to) {
  const Floats d;
  Vector sums[P][V];
#pragma GCC unroll 12
  for (int p = 0; p < P; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sums[p][v] = hn::Zero(d);
  }
  for (std::int64_t block = 0; block < C; block += cpu::kVector, patches += kPatches * cpu::kVector) {
    const std::int64_t count = std::min(cpu::kVector, C - block);
    for (std::int64_t c = 0; c < count; ++c, weight += padded) {
      Vector w[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) w[v] = hn::Load(d, weight + v * kLanes);
#pragma GCC unroll 12
      for (int p = 0; p < P; ++p) {
        const Vector x = hn::Set(d, patches[p * cpu::kVector + c]);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sums[p][v] = hn::MulAdd(x, w[v], sums[p][v]);
      }
    }
  }
#pragma GCC unroll 12
  for (int p = 0; p < P; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) hn::Store(sums[p][v], d, to + p * 2 * kLanes + v * kLanes);
  }
}

/// A^T m A for V vectors of channels from k on of a pooled pixel, then bias, ReLU and pooling. `zeros` becomes NaN if an output is
/// not finite.
template <int V>
HWY_INLINE void finish_window(const ForwardBand& b, const float* products, std::int64_t stride, std::int64_t k, std::int64_t pixel,
                              Vector& zeros) {
  const Floats d;
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    Vector rows[2][4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      const auto m = [&](int r) HWY_ATTR { return hn::Load(d, products + (r * 4 + s) * stride + v * kLanes); };
      const Vector m1 = m(1), m2 = m(2);
      rows[0][s] = hn::Add(m(0), hn::Add(m1, m2));
      rows[1][s] = hn::Sub(hn::Sub(m1, m2), m(3));
    }
    const Vector bias = hn::Load(d, b.bias + k + v * kLanes);
    const auto left = [&](int r) HWY_ATTR { return hn::Add(hn::Add(rows[r][0], bias), hn::Add(rows[r][1], rows[r][2])); };
    const auto right = [&](int r) HWY_ATTR { return hn::Sub(hn::Sub(hn::Add(rows[r][1], bias), rows[r][2]), rows[r][3]); };
    const Vector outputs[4] = {left(0), right(0), left(1), right(1)};
#pragma GCC unroll 4
    for (int o = 0; o < 4; ++o) zeros = hn::MulAdd(outputs[o], hn::Zero(d), zeros);
    const std::int64_t count = b.K - k - v * kLanes, to = pixel * b.K + k + v * kLanes;
    if (count > 0) {
      pool_outputs(outputs[0], outputs[1], outputs[2], outputs[3], count, b.y + to, b.place ? b.place + to : nullptr);
    }
  }
}

/// The band by Winograd's products. False, and nothing that is of use, if an input or output is not finite: infinities, and
/// numbers near the largest, would meet where the convolution keeps them apart.
bool winograd_band(const ForwardBand& b) {
  const Floats d;
  const std::int64_t row = (2 * b.columns + 2) * b.C, channels = cpu::round_up(b.C, cpu::kVector);
  const std::int64_t padded = cpu::round_up(b.K, cpu::kVector), pixels = b.rows * b.columns;
  float* const patches = b.memory;
  float* const products = b.memory + 16 * kPatches * channels;
  Vector zeros = hn::Zero(d);
  for (std::int64_t first = 0; first < pixels; first += kPatches) {
    const std::int64_t count = std::min(kPatches, pixels - first);
    b.next.ask(first / kPatches, (pixels + kPatches - 1) / kPatches);
    for (std::int64_t p = 0; p < count; ++p) {
      const std::int64_t i = (first + p) / b.columns, j = (first + p) % b.columns;
      transform_patch(b.x + 2 * i * row + 2 * j * b.C, b.C, row, patches + p * cpu::kVector, kPatches * channels, zeros);
    }
    const auto channels_from = [&](auto vectors, std::int64_t k) HWY_ATTR {
      constexpr int kV = decltype(vectors)::value;
      const auto multiply_all = [&](auto some) HWY_ATTR {
        for (std::int64_t e = 0; e < 16; ++e) {
          multiply<decltype(some)::value, kV>(patches + e * kPatches * channels, b.transformed + e * b.C * padded + k, b.C, padded,
                                              products + e * kPatches * 2 * kLanes);
        }
      };
      if (count > kPatches * 2 / 3) {
        multiply_all(std::integral_constant<int, kPatches>());
      } else if (count > kPatches / 3) {
        multiply_all(std::integral_constant<int, kPatches * 2 / 3>());
      } else {
        multiply_all(std::integral_constant<int, kPatches / 3>());
      }
      for (std::int64_t p = 0; p < count; ++p) {
        finish_window<kV>(b, products + p * 2 * kLanes, kPatches * 2 * kLanes, k, first + p, zeros);
      }
    };
    std::int64_t k = 0;
    for (; k + kLanes < b.K; k += 2 * kLanes) channels_from(std::integral_constant<int, 2>(), k);
    if (k < b.K) channels_from(std::integral_constant<int, 1>(), k);
  }
  return hn::AllTrue(d, hn::Eq(zeros, hn::Zero(d)));
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
