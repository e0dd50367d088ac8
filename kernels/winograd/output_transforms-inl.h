// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_OUTPUT_TRANSFORMS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_OUTPUT_TRANSFORMS_INL_H
#undef GPUCNN_KERNELS_OUTPUT_TRANSFORMS_INL_H
#else
#define GPUCNN_KERNELS_OUTPUT_TRANSFORMS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/simd/some_lanes-inl.h>
#include <gpucnn/kernels/winograd/winograd_tiles.h>

// What Winograd F(2x2,3x3) does behind its products.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// Outputs below `floor` become 0: ReLU, or nothing. NaN stays.
struct FloorEpilogue {
  Vector floor;
  HWY_INLINE Vector operator()(Vector y, std::int64_t, std::int64_t) const { return hn::IfThenZeroElse(hn::Lt(y, floor), y); }
};

/// The same of the sum with what lies at the output's place of `addend`.
struct SumEpilogue {
  const float* addend;
  FloorEpilogue floor;
  HWY_INLINE Vector operator()(Vector y, std::int64_t at, std::int64_t count) const {
    const Vector other = count >= kLanes ? hn::LoadU(Floats(), addend + at) : load_some(addend + at, count);
    return floor(hn::Add(y, other), at, count);
  }
};

/// The backward of the ReLU that made `x`: gradients become 0 where that is.
struct MaskEpilogue {
  const float* x;
  HWY_INLINE Vector operator()(Vector y, std::int64_t at, std::int64_t count) const {
    const Floats d;
    const Vector made = count >= kLanes ? hn::LoadU(d, x + at) : load_some(x + at, count);
    return hn::IfThenZeroElse(hn::Le(made, hn::Zero(d)), y);
  }
};

/// Calls `body` with the epilogue of these tiles.
template <class Body>
HWY_INLINE void with_epilogue(const cpu::WinogradTiles& all, const Body& body) {
  const FloorEpilogue floor{hn::Set(Floats(), all.floor)};
  if (all.addend) {
    body(SumEpilogue{all.addend, floor});
  } else if (all.relu_made) {
    body(MaskEpilogue{all.relu_made});
  } else {
    body(floor);
  }
}

/// A^T m A of `length` tiles side by side from `at` on; a vector of channels from k on, of which there are `count`. `products`: of
/// the first tile, with `tile` floats to the next and `element` floats from an element to the next.
template <class Epilogue>
HWY_INLINE void finish_row(const float* products, std::int64_t tile, std::int64_t element, const cpu::WinogradTiles& all,
                           const cpu::TilePlace& at, std::int64_t length, std::int64_t k, std::int64_t count,
                           const Epilogue& epilogue) {
  const Floats d;
  const std::int64_t K = all.K, row = all.W * K;
  const bool has_below = at.i + 1 < all.H;
  float* const y = all.y;
  std::int64_t to = ((at.n * all.H + at.i) * all.W + at.j) * K + k;
  const auto put = [&](Vector v, std::int64_t place) HWY_ATTR { store_some(epilogue(v, place, count), count, y + place); };
  for (std::int64_t t = 0; t < length; ++t, products += tile, to += 2 * K) {
    Vector rows[2][4];
#pragma GCC unroll 4
    for (int s = 0; s < 4; ++s) {
      const auto m = [&](int r) HWY_ATTR { return hn::LoadU(d, products + (r * 4 + s) * element); };
      const Vector m1 = m(1), m2 = m(2);
      rows[0][s] = hn::Add(m(0), hn::Add(m1, m2));
      rows[1][s] = hn::Sub(hn::Sub(m1, m2), m(3));
    }
    const bool has_right = at.j + 2 * t + 1 < all.W;
    put(hn::Add(rows[0][0], hn::Add(rows[0][1], rows[0][2])), to);
    if (has_right) put(hn::Sub(hn::Sub(rows[0][1], rows[0][2]), rows[0][3]), to + K);
    if (!has_below) continue;
    put(hn::Add(rows[1][0], hn::Add(rows[1][1], rows[1][2])), to + row);
    if (has_right) put(hn::Sub(hn::Sub(rows[1][1], rows[1][2]), rows[1][3]), to + row + K);
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
