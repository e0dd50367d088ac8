#include <gpucnn/kernels/conv2d_gemm/add_windows.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/conv2d_gemm/add_windows.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/some_lanes-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {
namespace {

HWY_INLINE void add_run(const float* from, std::int64_t count, float* to) {
  const Floats d;
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) hn::StoreU(hn::Add(hn::LoadU(d, to + i), hn::LoadU(d, from + i)), d, to + i);
  if (i < count) store_some(hn::Add(load_some(to + i, count - i), load_some(from + i, count - i)), count - i, to + i);
}

}  // namespace

void add_windows(const cpu::AddedWindows& a) {
  std::int64_t row = a.first / a.columns, column = a.first % a.columns;
  const float* window = a.windows;
  for (std::int64_t pixel = 0; pixel < a.count; ++pixel, window += a.window) {
    float* const to = a.image + row * a.row_step + column * a.column_step;
    for (std::int64_t tap = 0; tap < a.taps; ++tap) add_run(window + tap * a.tap_length, a.tap_length, to + tap * a.tap_step);
    if (++column == a.columns) {
      column = 0;
      ++row;
    }
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(add_windows);

void cpu::add_windows(const AddedWindows& a) { HWY_DYNAMIC_DISPATCH(add_windows)(a); }

}  // namespace gpucnn::kernels
#endif
