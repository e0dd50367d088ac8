// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_TILE_TRANSFORMS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_TILE_TRANSFORMS_INL_H
#undef GPUCNN_KERNELS_TILE_TRANSFORMS_INL_H
#else
#define GPUCNN_KERNELS_TILE_TRANSFORMS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/simd/some_lanes-inl.h>
#include <gpucnn/kernels/winograd/winograd_tiles.h>

// What Winograd F(2x2,3x3) does before and after its products. Lavin and Gray, "Fast algorithms for convolutional neural networks"
// (2015).
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// A row or a column of a patch.
struct PatchLine {
  Vector v0, v1, v2, v3;
};

/// v B.
HWY_INLINE PatchLine transform_line(const PatchLine& v) {
  return {hn::Sub(v.v0, v.v2), hn::Add(v.v1, v.v2), hn::Sub(v.v2, v.v1), hn::Sub(v.v1, v.v3)};
}

/// B^T x B of a vector of channels, of pixels p from pixel(p) on. Element e goes to to[e * stride]. Squares are added to `energy`.
template <class Pixel>
HWY_INLINE void transform_vector(const Pixel& pixel, float* to, std::int64_t stride, Vector& energy) {
  const Floats d;
  PatchLine lines[4];
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) {
    const auto load = [&](int s) HWY_ATTR { return hn::LoadU(d, pixel(4 * r + s)); };
    const PatchLine x{load(0), load(1), load(2), load(3)};
    const Vector outer = hn::MulAdd(x.v0, x.v0, hn::Mul(x.v3, x.v3));  // a chain of 16 sums would take longer than the transform
    energy = hn::Add(energy, hn::MulAdd(x.v1, x.v1, hn::MulAdd(x.v2, x.v2, outer)));
    lines[r] = transform_line(x);
  }
  const auto column = [&](const PatchLine& x, float* element) HWY_ATTR {
    const PatchLine transformed = transform_line(x);
    hn::StoreU(transformed.v0, d, element);
    hn::StoreU(transformed.v1, d, element + 4 * stride);
    hn::StoreU(transformed.v2, d, element + 8 * stride);
    hn::StoreU(transformed.v3, d, element + 12 * stride);
  };
  column({lines[0].v0, lines[1].v0, lines[2].v0, lines[3].v0}, to);
  column({lines[0].v1, lines[1].v1, lines[2].v1, lines[3].v1}, to + stride);
  column({lines[0].v2, lines[1].v2, lines[2].v2, lines[3].v2}, to + 2 * stride);
  column({lines[0].v3, lines[1].v3, lines[2].v3, lines[3].v3}, to + 3 * stride);
}

/// All C channels of pixels p from pixel(p) on, and the sum of their squares.
template <class Pixel>
HWY_INLINE float transform_channels(const Pixel& pixel, std::int64_t C, float* to, std::int64_t block, std::int64_t stride) {
  const Floats d;
  Vector energy = hn::Zero(d);
  std::int64_t c = 0;
  for (; c + kLanes <= C; c += kLanes) {
    const auto here = [&](int p) HWY_ATTR { return pixel(p) + c; };
    transform_vector(here, to + c / cpu::kVector * block + c % cpu::kVector, stride, energy);
  }
  if (c < C) {
    float rest[16][cpu::kVector] = {};
    for (int p = 0; p < 16; ++p) std::copy_n(pixel(p) + c, C - c, rest[p]);
    const auto here = [&](int p) HWY_ATTR { return rest[p]; };
    transform_vector(here, to + c / cpu::kVector * block + c % cpu::kVector, stride, energy);
  }
  return hn::GetLane(hn::SumOfLanes(d, energy));
}

/// The transformed patch of a tile: 16 elements `stride` apart, of blocks of kVector channels `block` apart. False if the tile must
/// be computed directly: it is not finite, or products could overflow. A large pixel harms no output that does not read it: of the
/// transform's differences, those with a border pixel are added only to outputs that read it.
HWY_INLINE bool transform_patch(const cpu::WinogradTiles& all, const cpu::TilePlace& at, float* to, std::int64_t block,
                                std::int64_t stride) {
  if (at.is_inside(all)) {
    const float* const corner = all.x + ((at.n * all.H + at.i - 1) * all.W + at.j - 1) * all.C;
    const std::int64_t row = all.W * all.C, column = all.C;
    const auto pixel = [=](int p) { return corner + p / 4 * row + p % 4 * column; };
    return transform_channels(pixel, all.C, to, block, stride) <= all.max_energy;
  }
  const float* pixels[16];
  for (int r = 0; r < 4; ++r) {
    for (int s = 0; s < 4; ++s) pixels[4 * r + s] = all.pixel(at.n, at.i + r - 1, at.j + s - 1);
  }
  return transform_channels([&](int p) { return pixels[p]; }, all.C, to, block, stride) <= all.max_energy;
}

/// A^T m A, and ReLU, for up to a vector of channels of a tile: `to` is its first pixel in y.
HWY_INLINE void finish_vector(const float* products, std::int64_t stride, const cpu::WinogradTiles& all, const cpu::TilePlace& at,
                              std::int64_t count, float* to) {
  const Floats d;
  const Vector floor = hn::Set(d, all.floor);
  const auto relu = [=](Vector v) HWY_ATTR { return hn::IfThenZeroElse(hn::Lt(v, floor), v); };  // keeps a NaN
  Vector rows[2][4];
#pragma GCC unroll 4
  for (int s = 0; s < 4; ++s) {
    const auto m = [&](int r) HWY_ATTR { return hn::LoadU(d, products + (r * 4 + s) * stride); };
    const Vector m1 = m(1), m2 = m(2);
    rows[0][s] = hn::Add(m(0), hn::Add(m1, m2));
    rows[1][s] = hn::Sub(hn::Sub(m1, m2), m(3));
  }
#pragma GCC unroll 2
  for (int r = 0; r < 2; ++r) {
    if (at.i + r >= all.H) break;
    float* const row = to + r * all.W * all.K;
    store_some(relu(hn::Add(rows[r][0], hn::Add(rows[r][1], rows[r][2]))), count, row);
    if (at.j + 1 < all.W) store_some(relu(hn::Sub(hn::Sub(rows[r][1], rows[r][2]), rows[r][3])), count, row + all.K);
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
