// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_WINOGRAD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_WINOGRAD_INL_H
#undef GPUCNN_KERNELS_WINOGRAD_INL_H
#else
#define GPUCNN_KERNELS_WINOGRAD_INL_H
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <gpucnn/kernels/fused/relu_pool_epilogue-inl.h>

// Winograd F(2x2,3x3): the 2x2 outputs of a pooling window from 16 products a channel instead of 36. Lavin and Gray, "Fast
// algorithms for convolutional neural networks" (2015). Errors are relative to the largest product in a patch. For numbers of one
// size they are no larger than those of the longer direct sums.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// A row or a column of a patch.
struct Line {
  Vector v0, v1, v2, v3;
};

/// v B: a row or a column of a patch of the input.
HWY_INLINE Line transform_input(const Line& v) {
  return {hn::Sub(v.v0, v.v2), hn::Add(v.v1, v.v2), hn::Sub(v.v2, v.v1), hn::Sub(v.v1, v.v3)};
}

/// The element of a patch that is added to all four outputs, so that its products start from the bias.
constexpr std::int64_t kCentre = 5;

/// Patches of a group. With AVX-512 8: their products, 16 KiB for two vectors of channels, stay in the L1 cache. Elsewhere 6: their
/// sums fill the registers.
constexpr std::int64_t kPatches = kWide ? cpu::kMaxPatches : 6;
static_assert(kPatches <= cpu::kMaxPatches && kPatches <= 8, "scratch, and how far `multiply` unrolls");

/// Floats from one element of a group's patches to the next, and from one block of channels.
constexpr std::int64_t kElementStride = kPatches * cpu::kVector, kBlockStride = 16 * kElementStride;

/// B^T x B of the 4x4 patches of padded input of `count` windows side by side. Element e of channel c of patch p goes to
/// p * kVector + e * kElementStride + c / kVector * kBlockStride + c % kVector.
HWY_INLINE void transform_patches(const float* x, std::int64_t C, std::int64_t row, std::int64_t count, float* to) {
  const Floats d;
  const auto load_row = [=](const float* from) HWY_ATTR {
    return transform_input({hn::LoadU(d, from), hn::LoadU(d, from + C), hn::LoadU(d, from + 2 * C), hn::LoadU(d, from + 3 * C)});
  };
  const auto store_column = [=](const Line& column, float* element) HWY_ATTR {
    const Line transformed = transform_input(column);
    hn::Store(transformed.v0, d, element);
    hn::Store(transformed.v1, d, element + 4 * kElementStride);
    hn::Store(transformed.v2, d, element + 8 * kElementStride);
    hn::Store(transformed.v3, d, element + 12 * kElementStride);
  };
  for (std::int64_t c = 0; c < C; c += kLanes) {
    const float* from = x + c;
    float* patch = to + c / cpu::kVector * kBlockStride + c % cpu::kVector;
    for (std::int64_t p = 0; p < count; ++p, from += 2 * C, patch += cpu::kVector) {
      const Line r0 = load_row(from), r1 = load_row(from + row), r2 = load_row(from + 2 * row), r3 = load_row(from + 3 * row);
      store_column({r0.v0, r1.v0, r2.v0, r3.v0}, patch);
      store_column({r0.v1, r1.v1, r2.v1, r3.v1}, patch + kElementStride);
      store_column({r0.v2, r1.v2, r2.v2, r3.v2}, patch + 2 * kElementStride);
      store_column({r0.v3, r1.v3, r2.v3, r3.v3}, patch + 3 * kElementStride);
    }
  }
}

/// A small GEMM for one of the 16 elements of a patch: P patches of the group with V vectors of channels. The sums start from
/// `bias` unless it is null.
template <int P, int V>
HWY_INLINE void multiply(const float* HWY_RESTRICT patches, const float* HWY_RESTRICT weight, const float* HWY_RESTRICT bias,
                         std::int64_t C, std::int64_t padded, float* HWY_RESTRICT to) {
  const Floats d;
  Vector sums[P][V];
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    const Vector first = bias ? hn::Load(d, bias + v * kLanes) : hn::Zero(d);
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) sums[p][v] = first;
  }
  for (std::int64_t block = 0; block < C; block += cpu::kVector, patches += kBlockStride) {
    const std::int64_t count = std::min(cpu::kVector, C - block);
    for (std::int64_t c = 0; c < count; ++c, weight += padded) {
      Vector w[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) w[v] = hn::Load(d, weight + v * kLanes);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        const Vector x = hn::Set(d, patches[p * cpu::kVector + c]);
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sums[p][v] = hn::MulAdd(x, w[v], sums[p][v]);
      }
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) hn::Store(sums[p][v], d, to + p * 2 * kLanes + v * kLanes);
  }
}

/// Floats from one element of a group's products to the next.
constexpr std::int64_t kProductStride = kPatches * 2 * kLanes;

/// A^T m A for `count` channels, more than V - 1 vectors, of a pooled pixel, then ReLU and pooling.
template <int V>
HWY_INLINE void finish_window(const float* products, std::int64_t count, Pooled to) {
  const Floats d;
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    Vector rows[2][4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      const auto m = [&](int r) HWY_ATTR { return hn::Load(d, products + (r * 4 + s) * kProductStride + v * kLanes); };
      const Vector m1 = m(1), m2 = m(2);
      rows[0][s] = hn::Add(m(0), hn::Add(m1, m2));
      rows[1][s] = hn::Sub(hn::Sub(m1, m2), m(3));
    }
    const auto left = [&](int r) HWY_ATTR { return hn::Add(rows[r][0], hn::Add(rows[r][1], rows[r][2])); };
    const auto right = [&](int r) HWY_ATTR { return hn::Sub(hn::Sub(rows[r][1], rows[r][2]), rows[r][3]); };
    pool_numbers(left(0), right(0), left(1), right(1), count - v * kLanes, to.after(v * kLanes));
  }
}

/// Cuts the windows first to first + count - 1, numbered row by row, at the ends of rows. Calls `body(p, i, j, length)` for each
/// segment: `length` windows from (i, j) on, the first of which is window first + p.
template <class Body>
HWY_INLINE void for_segments(std::int64_t first, std::int64_t count, std::int64_t columns, const Body& body) {
  std::int64_t i = first / columns, j = first % columns;
  for (std::int64_t p = 0, length; p < count; p += length, ++i, j = 0) {
    length = std::min(count - p, columns - j);
    body(p, i, j, length);
  }
}

/// The band by Winograd F(2x2,3x3). Only for bands whose outputs are all finite: the transform would mix an infinity or NaN with
/// its neighbours.
void winograd_band(const ForwardBand& b) {
  const std::int64_t row = cpu::padded_row(b.columns, b.C), padded = cpu::round_up(b.K, cpu::kVector), pixels = b.rows * b.columns;
  float* const patches = b.memory;
  float* const products = b.memory + 16 * kPatches * cpu::round_up(b.C, cpu::kVector);
  for (std::int64_t first = 0; first < pixels; first += kPatches) {
    const std::int64_t count = std::min(kPatches, pixels - first);
    cpu::prefetch(b.next, first / kPatches, (pixels + kPatches - 1) / kPatches);
    for_segments(first, count, b.columns, [&](std::int64_t p, std::int64_t i, std::int64_t j, std::int64_t length) HWY_ATTR {
      transform_patches(b.x + 2 * i * row + 2 * j * b.C, b.C, row, length, patches + p * cpu::kVector);
    });
    const auto channels_from = [&](auto vectors, std::int64_t k) HWY_ATTR {
      constexpr int kV = decltype(vectors)::value;
      const auto multiply_all = [&](auto some) HWY_ATTR {
        for (std::int64_t e = 0; e < 16; ++e) {
          multiply<decltype(some)::value, kV>(patches + e * kElementStride, b.transformed + e * b.C * padded + k,
                                              e == kCentre ? b.bias + k : nullptr, b.C, padded, products + e * kProductStride);
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
      for_segments(first, count, b.columns, [&](std::int64_t p, std::int64_t i, std::int64_t j, std::int64_t length) HWY_ATTR {
        const std::int64_t K = b.K;
        const float* from = products + p * 2 * kLanes;
        Pooled to = pooled(b, i, j, k);
        for (std::int64_t w = 0; w < length; ++w, from += 2 * kLanes, to = to.after(K)) finish_window<kV>(from, K - k, to);
      });
    };
    std::int64_t k = 0;
    for (; k + kLanes < b.K; k += 2 * kLanes) channels_from(std::integral_constant<int, 2>(), k);
    if (k < b.K) channels_from(std::integral_constant<int, 1>(), k);
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
