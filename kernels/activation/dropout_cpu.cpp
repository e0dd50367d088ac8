#include <algorithm>
#include <cmath>

#include <gpucnn/core/memory/layout.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/activation/twins.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/activation/dropout_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/lanes-inl.h>

#ifndef GPUCNN_KERNELS_DROPOUT_CPU
#define GPUCNN_KERNELS_DROPOUT_CPU
namespace gpucnn::kernels {

/// The factor of an element is 0 where the upper 24 bits of its word are below `threshold`, and `scale` elsewhere.
struct Mask {
  RandomStream random;
  std::int32_t threshold;
  float scale;
};

}  // namespace gpucnn::kernels
#endif

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

constexpr std::size_t kBlocks = 256;  // drawn at a time, a multiple of every vector's lanes
constexpr std::size_t kWords = 4 * kBlocks;

#if HWY_TARGET == HWY_SCALAR

constexpr std::size_t kDrawn = kWords;  // room for what `draw` writes

const std::uint32_t* draw(const RandomStream& random, std::uint64_t first, std::size_t blocks, std::uint32_t* words) {
  std::uint32_t* to = words;
  for (std::size_t b = 0; b < blocks; ++b) {
    for (const std::uint32_t word : random.block(first + b)) *to++ = word;
  }
  return words;
}

#else

constexpr std::size_t kDrawn = kWords + 4 * hn::MaxLanes(hn::ScalableTag<std::uint64_t>());  // room for what `draw` writes

/// Blocks [first, first + blocks) of the stream, and what follows them, to `words`; blocks <= kBlocks. Returns where they begin
/// there: a stream may begin amid a block of the generator. Each 64-bit lane works on one of those; only the lower halves of the
/// lanes that carry the counter mean anything.
const std::uint32_t* draw(const RandomStream& random, std::uint64_t first, std::size_t blocks, std::uint32_t* words) {
  const hn::ScalableTag<std::uint64_t> d;
  const hn::Repartition<std::uint32_t, decltype(d)> halves;
  const std::size_t begin = random.skipped() % 4;
  first += random.skipped() / 4;
  if (begin > 0) ++blocks;
  const auto multiplier0 = hn::Set(halves, philox::kMultiplier0), multiplier1 = hn::Set(halves, philox::kMultiplier1);
  const auto low = hn::Set(d, 0xFFFFFFFFU);
  for (std::size_t b = 0; b < blocks; b += hn::Lanes(d)) {
    auto counter0 = hn::Add(hn::Set(d, first + b), hn::Iota(d, 0));
    auto counter1 = hn::ShiftRight<32>(counter0);
    auto counter2 = hn::Set(d, random.counter2()), counter3 = hn::Set(d, random.counter3());
    auto [key0, key1] = random.key();
    for (int round = 0; round < philox::kRounds; ++round) {
      const auto product0 = hn::MulEven(hn::BitCast(halves, counter0), multiplier0);
      const auto product1 = hn::MulEven(hn::BitCast(halves, counter2), multiplier1);
      counter0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(product1), counter1), hn::Set(d, key0));
      counter2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(product0), counter3), hn::Set(d, key1));
      counter1 = product1;
      counter3 = product0;
      key0 += philox::kWeyl0;
      key1 += philox::kWeyl1;
    }
    const auto words01 = hn::Or(hn::And(counter0, low), hn::ShiftLeft<32>(counter1));
    const auto words23 = hn::Or(hn::And(counter2, low), hn::ShiftLeft<32>(counter3));
    hn::StoreInterleaved2(words01, words23, d, reinterpret_cast<std::uint64_t*>(words + 4 * b));
  }
  return words + begin;
}

#endif

/// The factors of the elements whose words these are.
template <class D>
HWY_INLINE hn::Vec<D> factor(D d, const Mask& mask, const std::uint32_t* words) {
  const hn::Rebind<std::int32_t, D> integers;
  const auto drawn = hn::BitCast(integers, hn::ShiftRight<8>(hn::LoadU(hn::Rebind<std::uint32_t, D>(), words)));
  return hn::IfThenZeroElse(hn::RebindMask(d, hn::Lt(drawn, hn::Set(integers, mask.threshold))), hn::Set(d, mask.scale));
}

/// Elements [first, last) in an order that is logical and memory order at once; first is a multiple of 4.
void dropout_range(const Mask& mask, const float* x, float* y, std::int64_t first, std::int64_t last) {
  HWY_ALIGN std::uint32_t drawn[kDrawn];
  for (std::int64_t e = first; e < last; e += kWords) {
    const std::size_t count = std::min(kWords, static_cast<std::size_t>(last - e));
    const std::uint32_t* const words = draw(mask.random, static_cast<std::uint64_t>(e) / 4, (count + 3) / 4, drawn);
    for_lanes(count, [&](auto d, std::size_t i)
                         HWY_ATTR { hn::StoreU(hn::Mul(hn::LoadU(d, x + e + i), factor(d, mask, words + i)), d, y + e + i); });
  }
}

/// One channels-last image of C channels; `first` is the logical index of its first element in the batch.
void dropout_image(const Mask& mask, const float* x, float* y, std::int64_t first, std::int64_t C, std::int64_t pixels) {
  HWY_ALIGN std::uint32_t drawn[kDrawn];
  HWY_ALIGN float factors[kWords];
  const std::int64_t last = first + C * pixels;
  std::int64_t index = 0;  // in memory
  for (std::int64_t start = first / 4 * 4; start < last; start += kWords) {
    const std::int64_t stop = std::min(start + static_cast<std::int64_t>(kWords), last);
    const auto count = static_cast<std::size_t>(stop - start);
    const std::uint32_t* const words = draw(mask.random, static_cast<std::uint64_t>(start) / 4, (count + 3) / 4, drawn);
    for_lanes(count, [&](auto d, std::size_t i) HWY_ATTR { hn::StoreU(factor(d, mask, words + i), d, factors + i); });
    for (std::int64_t e = std::max(start, first); e < stop; ++e) {
      y[index] = x[index] * factors[e - start];
      index += C;
      if (index >= C * pixels) index -= C * pixels - 1;  // the next channel's first pixel
    }
  }
}

/// Pixels [first, last) of a batch of channels-last images, whose channels have one factor each.
void dropout2d_pixels(const Mask& mask, const float* x, float* y, std::int64_t first, std::int64_t last, std::int64_t C,
                      std::int64_t pixels) {
  constexpr std::int64_t kChannels = kWords - 3;  // drawn at a time: the first may be the last word of its block
  HWY_ALIGN std::uint32_t drawn[kDrawn];
  HWY_ALIGN float factors[kWords];
  while (first < last) {
    const std::int64_t n = first / pixels, stop = std::min(last, (n + 1) * pixels);
    for (std::int64_t c = 0; c < C; c += kChannels) {
      const std::int64_t e = n * C + c;
      const auto count = static_cast<std::size_t>(std::min(kChannels, C - c)), skipped = static_cast<std::size_t>(e % 4);
      const std::uint32_t* const words = draw(mask.random, static_cast<std::uint64_t>(e) / 4, (skipped + count + 3) / 4, drawn);
      for_lanes(count, [&](auto d, std::size_t i) HWY_ATTR { hn::StoreU(factor(d, mask, words + skipped + i), d, factors + i); });
      for (std::int64_t pixel = first; pixel < stop; ++pixel) {
        const float* from = x + pixel * C + c;
        float* to = y + pixel * C + c;
        for_lanes(count, [&](auto d, std::size_t i)
                             HWY_ATTR { hn::StoreU(hn::Mul(hn::LoadU(d, from + i), hn::LoadU(d, factors + i)), d, to + i); });
      }
    }
    first = stop;
  }
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(dropout_range);
HWY_EXPORT(dropout_image);
HWY_EXPORT(dropout2d_pixels);

namespace {

constexpr std::int64_t kGrain = 4 * 1024;  // elements a task, a multiple of 4

Mask mask_of(double p, const RandomStream& random) {
  // uniform(e) is the upper 24 bits of a word times 2^-24, so that it is below p exactly where those bits are below this.
  return {random, static_cast<std::int32_t>(std::ceil(p * 0x1p24)), p < 1 ? static_cast<float>(1 / (1 - p)) : 0.0F};
}

}  // namespace

void cpu::dropout(const Tensor& x, double p, const RandomStream& random, Tensor& y, Stream&) {
  const Mask mask = mask_of(p, random);
  const float* from = x.data<float>();
  float* to = y.data<float>();
  if (layout::is_same(x.shape())) {
    parallel_ranges(x.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
      HWY_DYNAMIC_DISPATCH(dropout_range)(mask, from, to, first, last);
    });
  } else {
    const std::int64_t C = x.dim(1), pixels = x.dim(2) * x.dim(3), image = C * pixels;
    parallel_ranges(x.dim(0), std::max<std::int64_t>(1, kGrain / image), [=](std::int64_t first, std::int64_t last) {
      for (std::int64_t n = first; n < last; ++n) {
        HWY_DYNAMIC_DISPATCH(dropout_image)(mask, from + n * image, to + n * image, n * image, C, pixels);
      }
    });
  }
}

void cpu::dropout2d(const Tensor& x, double p, const RandomStream& random, Tensor& y, Stream&) {
  const Mask mask = mask_of(p, random);
  const std::int64_t C = x.dim(1), pixels = x.dim(2) * x.dim(3);
  const float* from = x.data<float>();
  float* to = y.data<float>();
  parallel_ranges(x.dim(0) * pixels, std::max<std::int64_t>(1, kGrain / C), [=](std::int64_t first, std::int64_t last) {
    HWY_DYNAMIC_DISPATCH(dropout2d_pixels)(mask, from, to, first, last, C, pixels);
  });
}

}  // namespace gpucnn::kernels
#endif
