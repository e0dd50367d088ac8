// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_PATCH_TRANSFORMS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_PATCH_TRANSFORMS_INL_H
#undef GPUCNN_KERNELS_PATCH_TRANSFORMS_INL_H
#else
#define GPUCNN_KERNELS_PATCH_TRANSFORMS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/simd/some_lanes-inl.h>
#include <gpucnn/kernels/winograd/patch_layout.h>

// What Winograd F(2x2,3x3) does before its products. Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015).
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

/// Four neighbouring elements.
HWY_INLINE void store_line(const PatchLine& v, float* to, std::int64_t element) {
  const Floats d;
  hn::StoreU(v.v0, d, to);
  hn::StoreU(v.v1, d, to + element);
  hn::StoreU(v.v2, d, to + 2 * element);
  hn::StoreU(v.v3, d, to + 3 * element);
}

/// Column j of some rows, a vector of channels from c on, of which there are `count`: zeros outside of the image. Squares are added
/// to `energy`.
template <bool kWhole, int kRows>
HWY_INLINE void load_column(const cpu::PixelRows<kRows>& x, std::int64_t j, std::int64_t c, std::int64_t count, Vector (&v)[kRows],
                            Vector& energy) {
  const Floats d;
  if (HWY_UNLIKELY(j < 0 || j >= x.width)) {
    for (int r = 0; r < kRows; ++r) v[r] = hn::Zero(d);
    return;
  }
  const std::int64_t offset = j * x.C + c;
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) v[r] = kWhole ? hn::LoadU(d, x.rows[r] + offset) : load_some(x.rows[r] + offset, count);
#pragma GCC unroll 2
  for (int r = 0; r < kRows; r += 2) energy = hn::Add(energy, hn::MulAdd(v[r], v[r], hn::Mul(v[r + 1], v[r + 1])));
}

/// B^T x B of `count` patches side by side, the first one's left column being `left`; a vector of channels from c on, of which
/// there are `channels`. Columns are transformed once for the two patches that share them. direct[t] becomes 1 where a lane's sum
/// of squares is above `limit`, or no number; `direct` may be null. Whether there was none.
template <bool kWhole, class Layout>
HWY_INLINE bool transform_vectors(const cpu::PixelRows<4>& rows, std::int64_t left, std::int64_t count, std::int64_t c,
                                  std::int64_t channels, float limit, float* to, const Layout& layout, std::uint8_t* direct) {
  const Floats d;
  const cpu::PixelRows<4> x = rows;  // in registers
  const Vector most = hn::Set(d, limit);
  const auto column = [&](std::int64_t j, Vector& energy) HWY_ATTR {
    Vector v[4];
    load_column<kWhole>(x, j, c, channels, v, energy);
    return transform_line({v[0], v[1], v[2], v[3]});
  };
  const std::int64_t element = layout.element();
  bool fit = true;
  Vector before = hn::Zero(d);
  PatchLine v0 = column(left, before), v1 = column(left + 1, before);
  for (std::int64_t t = 0; t < count; ++t, to += layout.tile()) {
    Vector behind = hn::Zero(d);
    const PatchLine v2 = column(left + 2 * t + 2, behind), v3 = column(left + 2 * t + 3, behind);
    store_line(transform_line({v0.v0, v1.v0, v2.v0, v3.v0}), to, element);
    store_line(transform_line({v0.v1, v1.v1, v2.v1, v3.v1}), to + 4 * element, element);
    store_line(transform_line({v0.v2, v1.v2, v2.v2, v3.v2}), to + 8 * element, element);
    store_line(transform_line({v0.v3, v1.v3, v2.v3, v3.v3}), to + 12 * element, element);
    if (HWY_UNLIKELY(!hn::AllTrue(d, hn::Le(hn::Add(before, behind), most)))) {
      fit = false;
      if (direct) direct[t] = 1;
    }
    before = behind;
    v0 = v2;
    v1 = v3;
  }
  return fit;
}

/// All channels of patches side by side. direct[t] = whether a tile must be computed directly: its patch is not finite, or the sum
/// of its squares may be above `max_energy`, so that products could overflow. A large pixel harms no output that does not read it:
/// of the transform's differences, those with a border pixel are added only to outputs that read it. Whether none must; `direct`
/// may be null.
template <class Layout>
HWY_INLINE bool transform_row(const cpu::PixelRows<4>& x, std::int64_t left, std::int64_t count, float max_energy, float* to,
                              const Layout& layout, std::uint8_t* direct) {
  const float limit = max_energy / static_cast<float>(cpu::round_up(x.C, kLanes));
  if (direct) std::fill_n(direct, count, std::uint8_t{0});
  bool fit = true;
  for (std::int64_t c = 0; c < x.C; c += kLanes) {
    float* const vectors = to + c / cpu::kVector * layout.block() + c % cpu::kVector;
    fit &= c + kLanes <= x.C ? transform_vectors<true>(x, left, count, c, kLanes, limit, vectors, layout, direct)
                             : transform_vectors<false>(x, left, count, c, x.C - c, limit, vectors, layout, direct);
  }
  return fit;
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
