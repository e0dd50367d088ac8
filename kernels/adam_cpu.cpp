#include <cmath>

#include <gpucnn/core/flush_subnormals.h>
#include <gpucnn/core/parallel.h>
#include <gpucnn/kernels/adam.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/adam_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/lanes-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

void adam_range(const AdamStep& s, const float* dweight, float* weight, float* m, float* v, std::size_t count) {
  const auto step = static_cast<double>(s.step);
  const auto decay = static_cast<float>(s.weight_decay);
  const auto beta1 = static_cast<float>(s.beta1), rest1 = static_cast<float>(1 - s.beta1);
  const auto beta2 = static_cast<float>(s.beta2), rest2 = static_cast<float>(1 - s.beta2);
  const auto rate = static_cast<float>(s.lr / (1 - std::pow(s.beta1, step)));
  // To multiply with, since the divider is what an update waits for.
  const auto correction = static_cast<float>(1 / std::sqrt(1 - std::pow(s.beta2, step)));
  const auto eps = static_cast<float>(s.eps);
  for_lanes(count, [=](auto d, std::size_t i) HWY_ATTR {
    const auto w = hn::LoadU(d, weight + i), m0 = hn::LoadU(d, m + i), v0 = hn::LoadU(d, v + i);
    const auto g = hn::MulAdd(hn::Set(d, decay), w, hn::LoadU(d, dweight + i));
    // PyTorch's lerp goes from the nearer end, so that beta1 = 0 gives m = g exactly.
    const auto change = hn::Sub(g, m0);
    const auto m1 = rest1 < 0.5F ? hn::MulAdd(hn::Set(d, rest1), change, m0) : hn::NegMulAdd(hn::Set(d, beta1), change, g);
    const auto v1 = hn::MulAdd(hn::Mul(hn::Set(d, rest2), g), g, hn::Mul(hn::Set(d, beta2), v0));
    const auto root = hn::MulAdd(hn::Sqrt(v1), hn::Set(d, correction), hn::Set(d, eps));
    hn::StoreU(m1, d, m + i);
    hn::StoreU(v1, d, v + i);
    hn::StoreU(hn::Sub(w, hn::Div(hn::Mul(hn::Set(d, rate), m1), root)), d, weight + i);
  });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(adam_range);

namespace cpu {
namespace {
constexpr std::int64_t kGrain = 16 * 1024;  // elements a task
}

void adam(const Tensor& dweight, const AdamStep& step, Tensor& weight, Tensor& m, Tensor& v) {
  const float* gradient = dweight.data<float>();
  float* value = weight.data<float>();
  float* mean = m.data<float>();
  float* square = v.data<float>();
  parallel_ranges(weight.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    const FlushSubnormals flush;
    HWY_DYNAMIC_DISPATCH(adam_range)
    (step, gradient + first, value + first, mean + first, square + first, static_cast<std::size_t>(last - first));
  });
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
