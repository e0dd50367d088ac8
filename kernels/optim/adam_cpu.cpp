#include <cmath>
#include <limits>

#include <gpucnn/kernels/optim/adam.h>
#include <gpucnn/kernels/optim/integer_power.h>
#include <gpucnn/kernels/optim/parallel_update.h>
#include <gpucnn/kernels/optim/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/optim/adam_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/optim/flushed_update-inl.h>

#ifndef GPUCNN_KERNELS_ADAM_CPU
#define GPUCNN_KERNELS_ADAM_CPU
namespace gpucnn::kernels {

/// What is the same for all elements. `sign` is -0 to maximize, else 0. `correction` is a factor, because the divider is the
/// bottleneck of an update.
struct AdamCoefficients {
  float decay, beta1, rest1, beta2, rest2, rate, correction, eps, shrink, sign;
};

/// What an update writes. `max_v` is null without AMSGrad.
struct AdamMemory {
  float *weight, *m, *v, *max_v;

  AdamMemory from(std::int64_t first) const { return {weight + first, m + first, v + first, max_v ? max_v + first : nullptr}; }
};

}  // namespace gpucnn::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

template <bool kAmsgrad>
HWY_INLINE void update_range(const AdamCoefficients& s, float threshold, const float* dweight, const AdamMemory& to,
                             std::size_t count) {
  float *const weight = to.weight, *const m = to.m, *const v = to.v, *const max_v = to.max_v;
  constexpr std::size_t kAhead = 512;  // floats that are fetched: a processor's own prefetchers end at a page
  const auto update = [=](auto d, std::size_t i) HWY_ATTR {
    const auto fetch = [i](const float* from) { __builtin_prefetch(from + i + kAhead); };
    fetch(dweight), fetch(weight), fetch(m), fetch(v);
    const auto w = hn::LoadU(d, weight + i), m0 = hn::LoadU(d, m + i), v0 = hn::LoadU(d, v + i);
    const auto uphill = hn::Xor(hn::LoadU(d, dweight + i), hn::Set(d, s.sign));
    const auto g = hn::MulAdd(hn::Set(d, s.decay), w, uphill);
    // PyTorch's lerp goes from the nearer end, so that beta1 = 0 gives m = g exactly.
    const auto change = hn::Sub(g, m0);
    const auto m1 = s.rest1 < 0.5F ? hn::MulAdd(hn::Set(d, s.rest1), change, m0) : hn::NegMulAdd(hn::Set(d, s.beta1), change, g);
    const auto v1 = hn::MulAdd(hn::Mul(hn::Set(d, s.rest2), g), g, hn::Mul(hn::Set(d, s.beta2), v0));
    auto largest = v1;
    if constexpr (kAmsgrad) {
      const auto before = hn::LoadU(d, max_v + i);
      largest = hn::IfThenElse(hn::Lt(v1, before), before, v1);  // v1 where that is NaN
      hn::StoreU(largest, d, max_v + i);
    }
    const auto root = hn::MulAdd(hn::Sqrt(largest), hn::Set(d, s.correction), hn::Set(d, s.eps));
    hn::StoreU(m1, d, m + i);
    hn::StoreU(v1, d, v + i);
    hn::StoreU(hn::MulSub(hn::Set(d, s.shrink), w, hn::Div(hn::Mul(hn::Set(d, s.rate), m1), root)), d, weight + i);
  };
  if (threshold < std::numeric_limits<float>::infinity()) return for_flushed_lanes(count, threshold, weight, dweight, m, update);
  for_lanes(count, update);
}

/// `threshold`: as `for_flushed_lanes` takes it, for a caller that flushes subnormals; infinity for one that does not.
void adam_range(const AdamCoefficients& s, float threshold, const float* dweight, const AdamMemory& to, std::size_t count) {
  if (to.max_v) return update_range<true>(s, threshold, dweight, to, count);
  update_range<false>(s, threshold, dweight, to, count);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(adam_range);

namespace {

constexpr std::int64_t kGrain = 16 * 1024;  // elements a task

AdamCoefficients coefficients_of(const AdamStep& s) {
  return {.decay = s.decoupled ? 0.0F : static_cast<float>(s.weight_decay),
          .beta1 = static_cast<float>(s.beta1),
          .rest1 = static_cast<float>(1 - s.beta1),
          .beta2 = static_cast<float>(s.beta2),
          .rest2 = static_cast<float>(1 - s.beta2),
          .rate = static_cast<float>(s.lr / (1 - integer_power(s.beta1, s.step))),
          .correction = static_cast<float>(1 / std::sqrt(1 - integer_power(s.beta2, s.step))),
          .eps = static_cast<float>(s.eps),
          .shrink = s.decoupled ? static_cast<float>(1 - s.lr * s.weight_decay) : 1.0F,
          .sign = s.maximize ? -0.0F : 0.0F};
}

/// The magnitude above which a weight does not show whether its update flushes subnormals. Infinity: every weight may show it.
///
/// Each result that is flushed is off by less than t = 2^-126. In a step these are three on the way to v: beta2 v, (1 - beta2) g,
/// and the sum. With the errors of earlier steps v / (1 - beta2^step) is off by less than 3 t / (1 - beta2). Its root is off by
/// less than the root of that. So an eps that is 2^25 times as large hides it: less than a quarter of its last place. AMSGrad's
/// maximum of them is off by no more.
///
/// On the way to m there are three, too: g, g - m, and the sum. m / (1 - beta1^step) is off by less than 3 t / (1 - beta1), which
/// is multiplied by lr. That product is flushed, both are divided by eps or more, and the quotient is flushed. All that is less
/// than a quarter of the last place of a weight that is 2^25 times as large. Taken here: 4 instead of 3, and 2 instead of 1.
float flush_threshold(const AdamStep& s) {
  constexpr double kTiny = 0x1p-126, kUnseen = 0x1p25;
  if (!(s.eps >= kUnseen * std::sqrt(4 * kTiny / (1 - s.beta2)))) return std::numeric_limits<float>::infinity();
  const double kept = s.decoupled ? std::abs(1 - s.lr * s.weight_decay) : 1.0;  // of the weight, which must still hide it
  if (kept < 0.5) return std::numeric_limits<float>::infinity();
  return static_cast<float>(kUnseen * kTiny * ((4 * s.lr / (1 - s.beta1) + 1) / s.eps + 2) / kept);
}

}  // namespace

void cpu::adam(const Tensor& dweight, const AdamStep& step, Tensor& weight, Tensor& m, Tensor& v, Tensor& max_v, Stream&) {
  const float* gradient = dweight.data<float>();
  const AdamMemory to{weight.rewrite<float>(), m.data<float>(), v.data<float>(), max_v.defined() ? max_v.data<float>() : nullptr};
  const AdamCoefficients coefficients = coefficients_of(step);
  const float threshold = flush_threshold(step);
  parallel_update(weight.numel(), kGrain, threshold, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(adam_range)
    (coefficients, threshold, gradient + first, to.from(first), static_cast<std::size_t>(last - first));
  });
}

}  // namespace gpucnn::kernels
#endif
