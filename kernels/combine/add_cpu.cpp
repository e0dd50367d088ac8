#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/combine/add.h>
#include <gpucnn/kernels/combine/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/combine/add_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/lanes-inl.h>
#include <gpucnn/kernels/simd/streamed-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

void add_range(const float* a, const float* b, bool streamed, float* y, std::size_t count) {
  with_streamed(streamed, [=](auto past) HWY_ATTR {
    for_lanes(count, [=](auto d, std::size_t i)
                         HWY_ATTR { store_result<past()>(hn::Add(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, y + i); });
  });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(add_range);

void cpu::add(const Tensor& a, const Tensor& b, Tensor& y, Stream&) {
  constexpr std::int64_t kGrain = 32 * 1024;  // elements a task
  const float* one = a.data<float>();
  const float* other = b.data<float>();
  float* to = y.data<float>();
  const bool streamed = to != one && to != other && cpu::is_streamed(to, y.numel(), kGrain);
  parallel_ranges(y.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(add_range)(one + first, other + first, streamed, to + first, static_cast<std::size_t>(last - first));
  });
}

}  // namespace gpucnn::kernels
#endif
