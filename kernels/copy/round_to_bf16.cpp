#include <gpucnn/kernels/copy/round_to_bf16.h>

#include <gpucnn/core/threads/parallel.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/copy/round_to_bf16.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/bf16-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

void round_to_bf16(const float* x, std::int64_t count, float* y) {
  const auto round = [=](auto d, std::int64_t i) HWY_ATTR { hn::StoreU(nearest_bf16(d, hn::LoadU(d, x + i)), d, y + i); };
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) round(Floats(), i);
  for (; i < count; ++i) round(hn::CappedTag<float, 1>(), i);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(round_to_bf16);

void cpu::round_to_bf16(const float* x, std::int64_t count, float* y) { HWY_DYNAMIC_DISPATCH(round_to_bf16)(x, count, y); }

void cpu::round_to_bf16(const Tensor& x, Tensor& y) {
  constexpr std::int64_t kGrain = 16 * 1024;  // elements a task
  const float* const from = x.data<float>();
  float* const to = y.rewrite<float>();
  parallel_ranges(x.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(round_to_bf16)(from + first, last - first, to + first);
  });
}

Tensor cpu::rounded_to_bf16(const Tensor& x) {
  Tensor y = Tensor::empty(x.shape(), DType::f32, x.device());
  round_to_bf16(x, y);
  return y;
}

}  // namespace gpucnn::kernels
#endif
