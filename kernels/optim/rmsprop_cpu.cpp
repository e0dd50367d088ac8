#include <cmath>
#include <limits>

#include <gpucnn/kernels/optim/parallel_update.h>
#include <gpucnn/kernels/optim/rmsprop.h>
#include <gpucnn/kernels/optim/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/optim/rmsprop_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/optim/flushed_update-inl.h>

#ifndef GPUCNN_KERNELS_RMSPROP_CPU
#define GPUCNN_KERNELS_RMSPROP_CPU
namespace gpucnn::kernels {

/// What an update writes. `velocity` is null without momentum, `mean` unless centered.
struct RmspropMemory {
  float *weight, *square, *velocity, *mean;

  RmspropMemory from(std::int64_t first) const {
    return {weight + first, square + first, velocity ? velocity + first : nullptr, mean ? mean + first : nullptr};
  }
};

}  // namespace gpucnn::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// `threshold`: as `for_flushed_lanes` takes it, for a caller that flushes subnormals; infinity for one that does not.
void rmsprop_range(const RmspropStep& s, float threshold, const float* dweight, const RmspropMemory& to, std::size_t count) {
  const auto decay = static_cast<float>(s.weight_decay), momentum = static_cast<float>(s.momentum);
  const auto alpha = static_cast<float>(s.alpha), rest = static_cast<float>(1 - s.alpha);
  const auto lr = static_cast<float>(s.lr), eps = static_cast<float>(s.eps);
  const float sign = s.maximize ? -0.0F : 0.0F;  // exclusive or: -dweight, or dweight
  float *const weight = to.weight, *const square = to.square, *const velocity = to.velocity, *const mean = to.mean;
  const auto update = [=](auto d, std::size_t i) HWY_ATTR {
    const auto w = hn::LoadU(d, weight + i), uphill = hn::Xor(hn::LoadU(d, dweight + i), hn::Set(d, sign));
    const auto g = hn::MulAdd(hn::Set(d, decay), w, uphill);
    const auto v = hn::MulAdd(hn::Mul(hn::Set(d, rest), g), g, hn::Mul(hn::Set(d, alpha), hn::LoadU(d, square + i)));
    hn::StoreU(v, d, square + i);
    auto variance = v;
    if (mean) {
      const auto before = hn::LoadU(d, mean + i), change = hn::Sub(g, before);
      // PyTorch's lerp goes from the nearer end, so that alpha = 0 gives the gradient exactly.
      const auto now = rest < 0.5F ? hn::MulAdd(hn::Set(d, rest), change, before) : hn::NegMulAdd(hn::Set(d, alpha), change, g);
      hn::StoreU(now, d, mean + i);
      variance = hn::NegMulAdd(now, now, v);
    }
    const auto root = hn::Add(hn::Sqrt(variance), hn::Set(d, eps));
    if (velocity) {
      const auto u = hn::MulAdd(hn::Set(d, momentum), hn::LoadU(d, velocity + i), hn::Div(g, root));
      hn::StoreU(u, d, velocity + i);
      hn::StoreU(hn::NegMulAdd(hn::Set(d, lr), u, w), d, weight + i);
    } else {
      hn::StoreU(hn::Sub(w, hn::Div(hn::Mul(hn::Set(d, lr), g), root)), d, weight + i);
    }
  };
  if (threshold < std::numeric_limits<float>::infinity()) {
    return for_flushed_lanes(count, threshold, weight, dweight, velocity, update);
  }
  for_lanes(count, update);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(rmsprop_range);

namespace {

constexpr std::int64_t kGrain = 16 * 1024;  // elements a task

/// The magnitude above which a weight does not show whether its update flushes subnormals. Infinity: every weight may show it.
///
/// Each result that is flushed is off by less than t = 2^-126. In a step these are three on the way to square_avg, which with the
/// errors of earlier steps is off by less than 3 t / (1 - alpha). Centered, the mean's square and the difference add 2 t. An error
/// of the mean itself counts only where the mean is so small that its square is 0. The root is off by less than the root of all
/// that, which an eps of 2^25 times as much hides.
///
/// g is off by less than 2 t, lr * g by t more, and the quotient adds t. So is each term of the momentum, which adds 2 t, and whose
/// earlier errors count 1 / (1 - momentum) times.
float flush_threshold(const RmspropStep& s) {
  constexpr double kTiny = 0x1p-126, kUnseen = 0x1p25;
  if (!(s.alpha < 1 && s.momentum < 1)) return std::numeric_limits<float>::infinity();
  if (!(s.eps >= kUnseen * std::sqrt(6 * kTiny / (1 - s.alpha)))) return std::numeric_limits<float>::infinity();
  const double change = (s.lr * (2 / s.eps + 3)) / (1 - s.momentum) + 1 / s.eps + 2;
  return static_cast<float>(2 * kUnseen * kTiny * change);
}

}  // namespace

void cpu::rmsprop(const Tensor& dweight, const RmspropStep& step, Tensor& weight, RmspropState& state, Stream&) {
  const float* gradient = dweight.data<float>();
  const RmspropMemory to{weight.rewrite<float>(), state.square_avg.data<float>(),
                         step.momentum != 0 ? state.momentum_buffer.data<float>() : nullptr,
                         step.centered ? state.grad_avg.data<float>() : nullptr};
  const float threshold = flush_threshold(step);
  parallel_update(weight.numel(), kGrain, threshold, [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(rmsprop_range)
    (step, threshold, gradient + first, to.from(first), static_cast<std::size_t>(last - first));
  });
}

}  // namespace gpucnn::kernels
#endif
