#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/activation/relu_block.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/activation/relu_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/lanes-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

void relu_range(const float* x, float* y, std::size_t count) {
  for_lanes(count, [=](auto d, std::size_t i) HWY_ATTR {
    const auto v = hn::LoadU(d, x + i);
    // Selecting instead of Max keeps NaN: it compares false with everything.
    hn::StoreU(hn::IfThenZeroElse(hn::Lt(v, hn::Zero(d)), v), d, y + i);
  });
}

void relu_backward_range(const float* y, const float* dy, float* dx, std::size_t count) {
  for_lanes(count, [=](auto d, std::size_t i) HWY_ATTR {
    const auto stopped = hn::Le(hn::LoadU(d, y + i), hn::Zero(d));
    hn::StoreU(hn::IfThenZeroElse(stopped, hn::LoadU(d, dy + i)), d, dx + i);
  });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(relu_range);
HWY_EXPORT(relu_backward_range);

namespace cpu {
namespace {
constexpr std::int64_t kGrain = 32 * 1024;  // elements a task
}

void relu(const Tensor& x, Tensor& y) {
  const float* from = x.data<float>();
  float* to = y.data<float>();
  parallel_ranges(x.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(relu_range)(from + first, to + first, static_cast<std::size_t>(last - first));
  });
}

void relu_block(float* y, std::int64_t count) { HWY_DYNAMIC_DISPATCH(relu_range)(y, y, static_cast<std::size_t>(count)); }

void relu_backward(const Tensor& y, const Tensor& dy, Tensor& dx) {
  const float* out = y.data<float>();
  const float* from = dy.data<float>();
  float* to = dx.data<float>();
  parallel_ranges(y.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(relu_backward_range)(out + first, from + first, to + first, static_cast<std::size_t>(last - first));
  });
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
