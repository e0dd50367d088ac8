#include <gpucnn/core/flush_subnormals.h>
#include <gpucnn/core/parallel.h>
#include <gpucnn/kernels/sgd.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/sgd_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/lanes-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

void sgd_range(const SgdStep& s, const float* dweight, float* weight, float* velocity, std::size_t count) {
  const auto decay = static_cast<float>(s.weight_decay), momentum = static_cast<float>(s.momentum);
  const auto rest = static_cast<float>(1 - s.dampening), lr = static_cast<float>(s.lr);
  const bool first = s.first, nesterov = s.nesterov;
  for_lanes(count, [=](auto d, std::size_t i) HWY_ATTR {
    const auto w = hn::LoadU(d, weight + i), g = hn::MulAdd(hn::Set(d, decay), w, hn::LoadU(d, dweight + i));
    auto direction = g;
    if (momentum != 0.0F) {
      // A first velocity is not read: it may be anything, even NaN.
      const auto u = first ? g : hn::MulAdd(hn::Set(d, rest), g, hn::Mul(hn::Set(d, momentum), hn::LoadU(d, velocity + i)));
      hn::StoreU(u, d, velocity + i);
      direction = nesterov ? hn::MulAdd(hn::Set(d, momentum), u, g) : u;
    }
    hn::StoreU(hn::NegMulAdd(hn::Set(d, lr), direction, w), d, weight + i);
  });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(sgd_range);

namespace cpu {
namespace {
constexpr std::int64_t kGrain = 32 * 1024;  // elements a task
}

void sgd(const Tensor& dweight, const SgdStep& step, Tensor& weight, Tensor& velocity) {
  const float* gradient = dweight.data<float>();
  float* value = weight.data<float>();
  float* speed = step.momentum != 0 ? velocity.data<float>() : nullptr;
  parallel_ranges(weight.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    const FlushSubnormals flush;
    HWY_DYNAMIC_DISPATCH(sgd_range)
    (step, gradient + first, value + first, speed ? speed + first : nullptr, static_cast<std::size_t>(last - first));
  });
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
