// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_WINOGRAD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_WINOGRAD_INL_H
#undef GPUCNN_KERNELS_WINOGRAD_INL_H
#else
#define GPUCNN_KERNELS_WINOGRAD_INL_H
#endif

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

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

/// The largest magnitude among `count` floats; infinity or NaN if there is one.
float largest(const float* from, std::int64_t count) {
  const Floats d;
  const hn::Rebind<std::int32_t, Floats> bits;
  const auto magnitude = hn::Set(bits, 0x7FFFFFFF);
  auto most = hn::Zero(bits);  // magnitudes are in the order of their bits
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) most = hn::Max(most, hn::And(magnitude, hn::BitCast(bits, hn::LoadU(d, from + i))));
  std::int32_t result = hn::GetLane(hn::MaxOfLanes(bits, most));
  for (; i < count; ++i) result = std::max(result, std::bit_cast<std::int32_t>(from[i]) & 0x7FFFFFFF);
  return std::bit_cast<float>(result);
}

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

/// The element of a patch that is added to all four outputs, and the bias with it.
constexpr std::int64_t kCentre = 5;

/// Patches of a group: as many as their sums leave registers for.
constexpr std::int64_t kPatches = kWide ? cpu::kMostPatches : 6;

/// B^T x B of a 4x4 patch of padded input; element e of channel c to e * stride + c / kVector * kPatches * kVector + c % kVector.
HWY_INLINE void transform_patch(const float* x, std::int64_t C, std::int64_t row, float* to, std::int64_t stride) {
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
        hn::Store(v[r][s], d, to + (r * 4 + s) * stride + c / cpu::kVector * kPatches * cpu::kVector + c % cpu::kVector);
      }
    }
  }
}

/// Products of P patches of the group with V vectors of channels, for one of the 16 elements of a patch, added to `bias` if it is
/// not null.
template <int P, int V>
HWY_INLINE void multiply(const float* HWY_RESTRICT patches, const float* HWY_RESTRICT weight, const float* HWY_RESTRICT bias,
                         std::int64_t C, std::int64_t padded, float* HWY_RESTRICT to) {
  const Floats d;
  Vector sums[P][V];
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    const Vector first = bias ? hn::Load(d, bias + v * kLanes) : hn::Zero(d);
#pragma GCC unroll 13
    for (int p = 0; p < P; ++p) sums[p][v] = first;
  }
  for (std::int64_t block = 0; block < C; block += cpu::kVector, patches += kPatches * cpu::kVector) {
    const std::int64_t count = std::min(cpu::kVector, C - block);
    for (std::int64_t c = 0; c < count; ++c, weight += padded) {
      Vector w[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) w[v] = hn::Load(d, weight + v * kLanes);
#pragma GCC unroll 13
      for (int p = 0; p < P; ++p) {
        const Vector x = hn::Set(d, patches[p * cpu::kVector + c]);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sums[p][v] = hn::MulAdd(x, w[v], sums[p][v]);
      }
    }
  }
#pragma GCC unroll 13
  for (int p = 0; p < P; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) hn::Store(sums[p][v], d, to + p * 2 * kLanes + v * kLanes);
  }
}

/// A^T m A for V vectors of channels from k on of a pooled pixel, then ReLU and pooling.
template <int V>
HWY_INLINE void finish_window(const ForwardBand& b, const float* products, std::int64_t stride, std::int64_t k, std::int64_t i,
                              std::int64_t j) {
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
    const auto left = [&](int r) HWY_ATTR { return hn::Add(rows[r][0], hn::Add(rows[r][1], rows[r][2])); };
    const auto right = [&](int r) HWY_ATTR { return hn::Sub(hn::Sub(rows[r][1], rows[r][2]), rows[r][3]); };
    const std::int64_t count = b.K - k - v * kLanes;
    if (count > 0) pool_numbers(left(0), right(0), left(1), right(1), count, pooled(b, i, j, k + v * kLanes));
  }
}

/// Calls `run(p, i, j)` for windows first + p, p in [0, count), counted row by row.
template <class Run>
HWY_INLINE void for_windows_from(std::int64_t first, std::int64_t count, std::int64_t columns, const Run& run) {
  std::int64_t i = first / columns, j = first % columns;
  for (std::int64_t p = 0; p < count; ++p) {
    run(p, i, j);
    if (++j == columns) {
      j = 0;
      ++i;
    }
  }
}

/// The band by Winograd's products. False, and nothing done, if an input is larger than `most_input`, or not finite: infinities,
/// and numbers near the largest, would meet where the convolution keeps them apart.
bool winograd_band(const ForwardBand& b) {
  const std::int64_t row = (2 * b.columns + 2) * b.C, channels = cpu::round_up(b.C, cpu::kVector);
  const std::int64_t padded = cpu::round_up(b.K, cpu::kVector), pixels = b.rows * b.columns;
  float* const patches = b.memory;
  float* const products = b.memory + 16 * kPatches * channels;
  if (!(largest(b.x, (2 * b.rows + 2) * row) <= b.most_input)) return false;
  for (std::int64_t first = 0; first < pixels; first += kPatches) {
    const std::int64_t count = std::min(kPatches, pixels - first);
    cpu::ask(b.next, first / kPatches, (pixels + kPatches - 1) / kPatches);
    for_windows_from(first, count, b.columns, [&](std::int64_t p, std::int64_t i, std::int64_t j) HWY_ATTR {
      transform_patch(b.x + 2 * i * row + 2 * j * b.C, b.C, row, patches + p * cpu::kVector, kPatches * channels);
    });
    const auto channels_from = [&](auto vectors, std::int64_t k) HWY_ATTR {
      constexpr int kV = decltype(vectors)::value;
      const auto multiply_all = [&](auto some) HWY_ATTR {
        for (std::int64_t e = 0; e < 16; ++e) {
          multiply<decltype(some)::value, kV>(patches + e * kPatches * channels, b.transformed + e * b.C * padded + k,
                                              e == kCentre ? b.bias + k : nullptr, b.C, padded,
                                              products + e * kPatches * 2 * kLanes);
        }
      };
      constexpr int kThird = (kPatches + 2) / 3;
      if (count > 2 * kThird) {
        multiply_all(std::integral_constant<int, kPatches>());
      } else if (count > kThird) {
        multiply_all(std::integral_constant<int, 2 * kThird>());
      } else {
        multiply_all(std::integral_constant<int, kThird>());
      }
      for_windows_from(first, count, b.columns, [&](std::int64_t p, std::int64_t i, std::int64_t j) HWY_ATTR {
        finish_window<kV>(b, products + p * 2 * kLanes, kPatches * 2 * kLanes, k, i, j);
      });
    };
    std::int64_t k = 0;
    for (; k + kLanes < b.K; k += 2 * kLanes) channels_from(std::integral_constant<int, 2>(), k);
    if (k < b.K) channels_from(std::integral_constant<int, 1>(), k);
  }
  return true;
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
