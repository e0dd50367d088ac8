// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_POOL_2X2_ROW_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_POOL_2X2_ROW_INL_H
#undef GPUCNN_KERNELS_POOL_2X2_ROW_INL_H
#else
#define GPUCNN_KERNELS_POOL_2X2_ROW_INL_H
#endif

#include <cstdint>
#include <limits>

#include <gpucnn/kernels/pool_rows/pool_2x2_row.h>
#include <gpucnn/kernels/simd/some_lanes-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// The larger of two, or one that is NaN.
HWY_INLINE Vector larger(Vector best, Vector value) {
  return hn::IfThenElse(hn::Or(hn::Gt(value, best), hn::IsNaN(value)), value, best);
}

HWY_INLINE void largest_of_2x2_row(const cpu::Pool2x2Row& row) {
  const Floats d;
  const std::int64_t C = row.C;
  const float *top = row.top, *bottom = row.bottom;
  float* to = row.to;
  const Vector floor = hn::Set(d, row.rectifies ? 0.0F : -std::numeric_limits<float>::infinity());
  const auto largest = [&](const auto& load) HWY_ATTR {
    const Vector best = larger(larger(larger(load(top), load(top + C)), load(bottom)), load(bottom + C));
    return hn::IfThenZeroElse(hn::Lt(best, floor), best);  // a NaN stays a NaN
  };
  for (std::int64_t j = 0; j < row.pixels; ++j, top += 2 * C, bottom += 2 * C, to += C) {
    std::int64_t c = 0;
    for (; c + kLanes <= C; c += kLanes) {
      hn::StoreU(largest([=](const float* at) HWY_ATTR { return hn::LoadU(d, at + c); }), d, to + c);
    }
    if (c < C) store_some(largest([=](const float* at) HWY_ATTR { return load_some(at + c, C - c); }), C - c, to + c);
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
