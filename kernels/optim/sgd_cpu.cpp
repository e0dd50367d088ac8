#include <cmath>
#include <limits>

#include <gpucnn/kernels/optim/parallel_update.h>
#include <gpucnn/kernels/optim/sgd.h>
#include <gpucnn/kernels/optim/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/optim/sgd_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/optim/flushed_update-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// `threshold`: as `for_flushed_lanes` takes it, for a caller that flushes subnormals; infinity for one that does not.
void sgd_range(const SgdStep& s, float threshold, const float* dweight, float* weight, float* velocity, std::size_t count) {
  const auto decay = static_cast<float>(s.weight_decay), momentum = static_cast<float>(s.momentum);
  const auto rest = static_cast<float>(1 - s.dampening), lr = static_cast<float>(s.lr);
  const float sign = s.maximize ? -0.0F : 0.0F;  // exclusive or: -dweight, or dweight
  const bool first = s.first, nesterov = s.nesterov;
  const auto update = [=](auto d, std::size_t i) HWY_ATTR {
    const auto w = hn::LoadU(d, weight + i), uphill = hn::Xor(hn::LoadU(d, dweight + i), hn::Set(d, sign));
    const auto g = hn::MulAdd(hn::Set(d, decay), w, uphill);
    auto direction = g;
    if (momentum != 0.0F) {
      // A first velocity is not read: it may be anything, even NaN.
      const auto u = first ? g : hn::MulAdd(hn::Set(d, rest), g, hn::Mul(hn::Set(d, momentum), hn::LoadU(d, velocity + i)));
      hn::StoreU(u, d, velocity + i);
      direction = nesterov ? hn::MulAdd(hn::Set(d, momentum), u, g) : u;
    }
    hn::StoreU(hn::NegMulAdd(hn::Set(d, lr), direction, w), d, weight + i);
  };
  if (threshold < std::numeric_limits<float>::infinity()) {
    return for_flushed_lanes(count, threshold, weight, dweight, first ? nullptr : velocity, update);
  }
  for_lanes(count, update);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(sgd_range);

namespace {

constexpr std::int64_t kGrain = 32 * 1024;  // elements a task

/// The magnitude above which a weight does not show whether its update flushes subnormals. Infinity: every weight may show it, or
/// there is no velocity, and nothing that becomes subnormal and stays so.
///
/// Each result that is flushed is off by less than t = 2^-126. In a step these are three on the way to the velocity. They are
/// g, times 1 - dampening, the velocity's product with the momentum, and the sum. With the errors of earlier steps it is off by
/// less than (2 + |1 - dampening|) t / (1 - momentum). Nesterov's direction adds less than 2 t. All that times lr is less than a
/// quarter of the last place of a weight that is 2^25 times as large.
float flush_threshold(const SgdStep& s) {
  constexpr double kTiny = 0x1p-126, kUnseen = 0x1p25;
  if (!(s.momentum > 0 && s.momentum < 1)) return std::numeric_limits<float>::infinity();
  return static_cast<float>(kUnseen * kTiny * (s.lr * (4 + std::abs(1 - s.dampening)) / (1 - s.momentum) + 1));
}

}  // namespace

void cpu::sgd(const Tensor& dweight, const SgdStep& step, Tensor& weight, Tensor& velocity, Stream&) {
  const float* gradient = dweight.data<float>();
  float* value = weight.rewrite<float>();
  float* speed = step.momentum != 0 ? velocity.data<float>() : nullptr;
  const float threshold = flush_threshold(step);
  parallel_update(weight.numel(), kGrain, threshold, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(sgd_range)
    (step, threshold, gradient + first, value + first, speed ? speed + first : nullptr, static_cast<std::size_t>(last - first));
  });
}

}  // namespace gpucnn::kernels
#endif
