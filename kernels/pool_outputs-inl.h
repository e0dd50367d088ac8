// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_POOL_OUTPUTS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_POOL_OUTPUTS_INL_H
#undef GPUCNN_KERNELS_POOL_OUTPUTS_INL_H
#else
#define GPUCNN_KERNELS_POOL_OUTPUTS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <hwy/highway.h>

#include <gpucnn/kernels/conv2d_relu_pool_cpu.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, cpu::kVector>;
using Vector = hn::Vec<Floats>;
constexpr int kLanes = hn::MaxLanes(Floats());

/// Pools the four outputs of a window, in row order, applies ReLU, and stores the first `count` channels, of which there may be
/// more than lanes; places are null where none are wanted.
HWY_INLINE void pool_outputs(Vector o0, Vector o1, Vector o2, Vector o3, std::int64_t count, float* y, std::uint8_t* places) {
  const Floats d;
  const hn::Rebind<std::int32_t, Floats> integers;
  const hn::Rebind<std::uint8_t, Floats> bytes;
  Vector best = o0;
  auto place = hn::Zero(integers);
  const auto meet = [&](Vector value, int at) HWY_ATTR {
    const auto wins = hn::Or(hn::Gt(value, best), hn::IsNaN(value));
    best = hn::IfThenElse(wins, value, best);
    place = hn::IfThenElse(hn::RebindMask(integers, wins), hn::Set(integers, at), place);
  };
  meet(o1, 1);
  meet(o2, 2);
  meet(o3, 3);
  const auto stopped = hn::RebindMask(integers, hn::Le(best, hn::Zero(d)));
  place = hn::IfThenElse(stopped, hn::Set(integers, 4), place);
  best = hn::IfThenZeroElse(hn::Lt(best, hn::Zero(d)), best);  // keeps NaN
  if (count >= kLanes) {
    hn::StoreU(best, d, y);
    if (places) hn::StoreU(hn::DemoteTo(bytes, place), bytes, places);
    return;
  }
  HWY_ALIGN float values[kLanes];
  HWY_ALIGN std::uint8_t narrow[kLanes];
  hn::Store(best, d, values);
  hn::Store(hn::DemoteTo(bytes, place), bytes, narrow);
  std::copy_n(values, count, y);
  if (places) std::copy_n(narrow, count, places);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
