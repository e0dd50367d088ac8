#include <gpucnn/kernels/winograd/filter_range.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

#include <gpucnn/core/threads/parallel.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/winograd/filter_range.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/some_lanes-inl.h>
#include <gpucnn/kernels/simd/vectors-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

using Bits = hn::Rebind<std::int32_t, Floats>;

constexpr int kExponent = 23;            // the bit of a float at which its exponent begins
constexpr std::int32_t kMaxSpread = 13;  // the largest exponent minus the mean; about 3 for random weights

/// What is known of the magnitudes of some weights, in each lane by itself. Magnitudes are in the order of their bits.
struct Magnitudes {
  hn::Vec<Bits> largest, exponents, count;
};

HWY_INLINE Magnitudes of_none() {
  const Bits d;
  return {hn::Zero(d), hn::Zero(d), hn::Zero(d)};
}

HWY_INLINE void add(Vector weights, Magnitudes& to) {
  const Bits d;
  const auto bits = hn::And(hn::Set(d, 0x7FFFFFFF), hn::BitCast(d, weights));
  to.largest = hn::Max(to.largest, bits);
  to.exponents = hn::Add(to.exponents, hn::ShiftRight<kExponent>(bits));
  to.count = hn::Add(to.count, hn::IfThenElseZero(hn::Gt(bits, hn::Zero(d)), hn::Set(d, 1)));
}

bool is_even(std::int32_t largest, std::int32_t exponents, std::int32_t count) {
  return (largest >> kExponent) * count - exponents <= kMaxSpread * count;
}

/// Of `filters` filters of `length` weights each, one behind the other.
cpu::FilterRange range_of_rows(const float* weight, std::int64_t filters, std::int64_t length) {
  const Bits d;
  std::int32_t largest = 0;
  bool even = true;
  for (; filters > 0; --filters, weight += length) {
    Magnitudes all = of_none();
    std::int64_t i = 0;
    for (; i + kLanes <= length; i += kLanes) add(hn::LoadU(Floats(), weight + i), all);
    if (i < length) add(load_some(weight + i, length - i), all);
    const std::int32_t most = hn::GetLane(hn::MaxOfLanes(d, all.largest));
    even = even && is_even(most, hn::GetLane(hn::SumOfLanes(d, all.exponents)), hn::GetLane(hn::SumOfLanes(d, all.count)));
    largest = std::max(largest, most);
  }
  return {std::bit_cast<float>(largest), even};
}

/// What is known of a matrix's `V` vectors of columns, of which the last has `lanes` lanes: `length` rows, `stride` floats apart.
template <int V>
HWY_INLINE void add_columns(const float* from, std::int64_t lanes, std::int64_t length, std::int64_t stride, Magnitudes (&all)[V]) {
  constexpr std::int64_t kAhead = 8;  // rows that are fetched: a processor's own prefetchers do not follow such strides
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) all[v] = of_none();
  for (std::int64_t row = 0; row < length; ++row, from += stride) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      __builtin_prefetch(from + kAhead * stride + v * kLanes);
      add(v + 1 < V || lanes == kLanes ? hn::LoadU(Floats(), from + v * kLanes) : load_some(from + v * kLanes, lanes), all[v]);
    }
  }
}

/// The same of filters that are columns.
cpu::FilterRange range_of_columns(const float* weight, std::int64_t filters, std::int64_t length, std::int64_t stride) {
  std::int32_t largest = 0;
  bool even = true;
  const auto judge = [&](const Magnitudes& all, std::int64_t lanes) HWY_ATTR {
    HWY_ALIGN std::int32_t most[kLanes], exponents[kLanes], count[kLanes];
    hn::Store(all.largest, Bits(), most);
    hn::Store(all.exponents, Bits(), exponents);
    hn::Store(all.count, Bits(), count);
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      even = even && is_even(most[lane], exponents[lane], count[lane]);
      largest = std::max(largest, most[lane]);
    }
  };
  constexpr int kVectors = 4;
  std::int64_t c = 0;
  for (; c + kVectors * kLanes <= filters; c += kVectors * kLanes) {
    Magnitudes all[kVectors];
    add_columns(weight + c, kLanes, length, stride, all);
    for (const Magnitudes& one : all) judge(one, kLanes);
  }
  for (; c < filters; c += kLanes) {
    const std::int64_t lanes = std::min<std::int64_t>(kLanes, filters - c);
    Magnitudes all[1];
    add_columns(weight + c, lanes, length, stride, all);
    judge(all[0], lanes);
  }
  return {std::bit_cast<float>(largest), even};
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(range_of_rows);
HWY_EXPORT(range_of_columns);

cpu::FilterRange cpu::filter_range(const float* weight, std::int64_t K, std::int64_t taps, std::int64_t C, bool exchanged) {
  constexpr std::int64_t kGrain = 32 * 1024, kColumns = 64;  // weights a task; columns that are read together
  const std::int64_t filters = exchanged ? C : K, length = (exchanged ? K : C) * taps;
  const std::int64_t grain = std::max<std::int64_t>(1, kGrain / length);
  std::atomic<std::int32_t> largest{0};
  std::atomic<bool> even{true};
  parallel_ranges(
      filters, exchanged ? (grain + kColumns - 1) / kColumns * kColumns : grain, [&](std::int64_t first, std::int64_t last) {
        const FilterRange part = exchanged ? HWY_DYNAMIC_DISPATCH(range_of_columns)(weight + first, last - first, length, C)
                                           : HWY_DYNAMIC_DISPATCH(range_of_rows)(weight + first * length, last - first, length);
        const auto bits = std::bit_cast<std::int32_t>(part.largest);
        for (std::int32_t seen = largest; seen < bits && !largest.compare_exchange_weak(seen, bits);) {
        }
        if (!part.even) even = false;
      });
  return {std::bit_cast<float>(largest.load()), even.load()};
}

}  // namespace gpucnn::kernels
#endif
