#include <gpucnn/core/threads/flush_subnormals.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/muon/muon.h>
#include <gpucnn/kernels/muon/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/muon/muon_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/lanes-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// PyTorch's lerp, from the nearer end; `rest` is 1 - weight.
template <class D, class V>
HWY_INLINE V lerp(D d, V from, V to, float weight, float rest) {
  const auto change = hn::Sub(to, from);
  return weight < 0.5F ? hn::MulAdd(hn::Set(d, weight), change, from) : hn::NegMulAdd(hn::Set(d, rest), change, to);
}

void muon_direction_range(double momentum, bool nesterov, const float* dweight, float* buffer, float* direction,
                          std::size_t count) {
  const auto kept = static_cast<float>(momentum), rest = static_cast<float>(1 - momentum);
  for_lanes(count, [=](auto d, std::size_t i) HWY_ATTR {
    const auto g = hn::LoadU(d, dweight + i);
    const auto u = lerp(d, hn::LoadU(d, buffer + i), g, rest, kept);
    hn::StoreU(u, d, buffer + i);
    hn::StoreU(nesterov ? lerp(d, g, u, kept, rest) : u, d, direction + i);
  });
}

void muon_update_range(float shrink, float rate, const float* direction, float* weight, std::size_t count) {
  for_lanes(count, [=](auto d, std::size_t i) HWY_ATTR {
    const auto change = hn::Mul(hn::Set(d, rate), hn::LoadU(d, direction + i));
    hn::StoreU(hn::MulSub(hn::Set(d, shrink), hn::LoadU(d, weight + i), change), d, weight + i);
  });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(muon_direction_range);
HWY_EXPORT(muon_update_range);

namespace {

constexpr std::int64_t kGrain = 32 * 1024;  // elements a task

}  // namespace

void cpu::muon_direction(const Tensor& dweight, const MuonStep& step, Tensor& momentum_buffer, Tensor& direction, Stream&) {
  const float* gradient = dweight.data<float>();
  float *const buffer = momentum_buffer.data<float>(), *const to = direction.data<float>();
  parallel_ranges(dweight.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    const FlushSubnormals flush;  // next to others in its matrix such a direction is nothing
    HWY_DYNAMIC_DISPATCH(muon_direction_range)
    (step.momentum, step.nesterov, gradient + first, buffer + first, to + first, static_cast<std::size_t>(last - first));
  });
}

void cpu::muon_update(const Tensor& direction, const MuonStep& step, Tensor& weight, Stream&) {
  const auto shrink = static_cast<float>(1 - step.lr * step.weight_decay), rate = static_cast<float>(step.lr * step.lr_ratio);
  const float* from = direction.data<float>();
  float* value = weight.rewrite<float>();
  parallel_ranges(weight.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(muon_update_range)(shrink, rate, from + first, value + first, static_cast<std::size_t>(last - first));
  });
}

}  // namespace gpucnn::kernels
#endif
