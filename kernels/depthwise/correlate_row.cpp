#include <gpucnn/kernels/depthwise/rows.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/depthwise/correlate_row.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/depthwise/channels-inl.h>

// Vectors run over the channels. A tile of outputs side by side shares each weight, and each input that several of them read.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// Longer sums are added up row by row.
constexpr std::int64_t kMaxTerms = 1024;

/// Windows of at most so many rows and columns of taps keep their weights in registers.
constexpr int kMostRunTaps = 3;

/// The taps of one output: `rows` x `columns` from `from` and `weight` on. Steps are in floats.
struct Taps {
  const float* from;
  std::int64_t from_row, from_column;
  const float* weight;
  std::int64_t weight_row, weight_column;
  std::int64_t rows, columns;
};

/// Adds row r of the taps to the sums of `kCount` outputs, `stride` floats of input apart.
template <int kTaps, int kRatio, int kCount, class D>
HWY_INLINE void add_row(D d, const Taps& taps, std::int64_t r, std::int64_t k, std::int64_t stride, hn::Vec<D>* HWY_RESTRICT sums) {
  const float* from = taps.from + r * taps.from_row + k;
  const float* weight = taps.weight + r * taps.weight_row + k;
  if constexpr (kTaps > 0) {
    constexpr int kInputs = (kCount - 1) * kRatio + kTaps;
    hn::Vec<D> inputs[kInputs];
    for (int i = 0; i < kInputs; ++i) inputs[i] = hn::LoadU(d, from + i * taps.from_column);
    for (int s = 0; s < kTaps; ++s) {
      const auto factor = hn::LoadU(d, weight + s * taps.weight_column);
      for (int t = 0; t < kCount; ++t) sums[t] = hn::MulAdd(inputs[t * kRatio + s], factor, sums[t]);
    }
  } else {
    // A sum of its own: the sum of a large window is rounded less.
    hn::Vec<D> row[kCount];
    for (int t = 0; t < kCount; ++t) row[t] = hn::Zero(d);
    for (std::int64_t s = 0; s < taps.columns; ++s) {
      const auto factor = hn::LoadU(d, weight + s * taps.weight_column);
      for (int t = 0; t < kCount; ++t) row[t] = hn::MulAdd(hn::LoadU(d, from + t * stride + s * taps.from_column), factor, row[t]);
    }
    for (int t = 0; t < kCount; ++t) sums[t] = hn::Add(sums[t], row[t]);
  }
}

/// `kCount` outputs, `to_step` floats apart.
template <int kTaps, int kRatio, int kCount>
void correlate_pixels(const Taps& taps, std::int64_t stride, const float* start, std::int64_t K, float* to, std::int64_t to_step) {
  for_channels(K, [&](auto d, std::int64_t k) HWY_ATTR {
    hn::Vec<decltype(d)> sums[kCount];
    const auto first = start ? hn::LoadU(d, start + k) : hn::Zero(d);
    for (int t = 0; t < kCount; ++t) sums[t] = first;
    for (std::int64_t r = 0; r < taps.rows; ++r) add_row<kTaps, kRatio, kCount>(d, taps, r, k, stride, sums);
    for (int t = 0; t < kCount; ++t) hn::StoreU(sums[t], d, to + t * to_step + k);
  });
}

/// `kCount` of the outputs of `correlate_run`.
template <int kRows, int kTaps, int kRatio, int kCount, class D>
HWY_INLINE void correlate_tile(D d, const float* from, const Taps& taps, const hn::Vec<D>* HWY_RESTRICT factors, hn::Vec<D> first,
                               float* to, std::int64_t to_step) {
  constexpr int kInputs = (kCount - 1) * kRatio + kTaps;
  hn::Vec<D> sums[kCount];
  for (int t = 0; t < kCount; ++t) sums[t] = first;
  for (int r = 0; r < kRows; ++r) {
    hn::Vec<D> inputs[kInputs];
    for (int i = 0; i < kInputs; ++i) inputs[i] = hn::LoadU(d, from + r * taps.from_row + i * taps.from_column);
    for (int s = 0; s < kTaps; ++s) {
      for (int t = 0; t < kCount; ++t) sums[t] = hn::MulAdd(inputs[t * kRatio + s], factors[r * kTaps + s], sums[t]);
    }
  }
  for (int t = 0; t < kCount; ++t) hn::StoreU(sums[t], d, to + t * to_step);
}

/// `count` outputs of kRows rows of kTaps taps, up to three each: their weights stay in registers for all of them.
template <int kRows, int kTaps, int kRatio>
void correlate_run(const Taps& taps, std::int64_t count, const float* start, std::int64_t K, float* to, std::int64_t to_step) {
  for_channels(K, [=](auto d, std::int64_t k) HWY_ATTR {
    hn::Vec<decltype(d)> factors[kRows * kTaps];
    for (int r = 0; r < kRows; ++r) {
      for (int s = 0; s < kTaps; ++s) {
        factors[r * kTaps + s] = hn::LoadU(d, taps.weight + r * taps.weight_row + s * taps.weight_column + k);
      }
    }
    const auto first = start ? hn::LoadU(d, start + k) : hn::Zero(d);
    const std::int64_t stride = kRatio * taps.from_column;
    const float* from = taps.from + k;
    float* out = to + k;
    std::int64_t o = 0;
    for (; o + kTile <= count; o += kTile, from += kTile * stride, out += kTile * to_step) {
      correlate_tile<kRows, kTaps, kRatio, kTile>(d, from, taps, factors, first, out, to_step);
    }
    for (; o < count; ++o, from += stride, out += to_step) {
      correlate_tile<kRows, kTaps, kRatio, 1>(d, from, taps, factors, first, out, to_step);
    }
  });
}

void correlated_row(const cpu::CorrelatedRow& row) {
  const cpu::Axis &rows = row.rows, &columns = row.columns;
  const std::int64_t K = row.K, line = columns.inputs * K;
  const std::int64_t r_first = rows.first_tap(row.row), r_last = rows.last_tap(row.row);
  const std::int64_t input_row = rows.origin + row.row * rows.stride + r_first * rows.step - row.first;
  const auto taps_of = [&](std::int64_t o, std::int64_t first, std::int64_t last) {
    const std::int64_t input = columns.origin + o * columns.stride + first * columns.step;
    const std::int64_t weight_row = rows.weight + r_first * rows.weight_step;
    const std::int64_t weight_column = columns.weight + first * columns.weight_step;
    const bool none = r_first == r_last || first == last;
    return Taps{.from = none ? row.from : row.from + input_row * line + input * K,
                .from_row = rows.step * line,
                .from_column = columns.step * K,
                .weight = none ? row.weight : row.weight + (weight_row * row.width + weight_column) * K,
                .weight_row = rows.weight_step * row.width * K,
                .weight_column = columns.weight_step * K,
                .rows = none ? 0 : r_last - r_first,
                .columns = last - first};
  };
  const std::int64_t stride = columns.stride * K, to_step = columns.to_step * K;
  float* const to = row.to + columns.to * K;
  const auto clipped = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t o = first; o < last; ++o) {
      const Taps taps = taps_of(o, columns.first_tap(o), columns.last_tap(o));
      correlate_pixels<0, 0, 1>(taps, stride, row.start, K, to + o * to_step, to_step);
    }
  };
  const std::int64_t first = columns.first_whole(), last = columns.last_whole();
  clipped(0, first);
  const bool is_long = (r_last - r_first) * columns.taps > kMaxTerms;
  with_taps(is_long ? 0 : columns.taps, columns.stride, columns.step, [&]<class Row>(Row) {
    constexpr int kTaps = Row::kTaps, kRatio = Row::kRatio;
    if constexpr (kTaps > 0 && kTaps <= kMostRunTaps) {
      const Taps taps = taps_of(first, 0, kTaps);
      float* const begin = to + first * to_step;
      const std::int64_t count = last - first;
      if (taps.rows == 1) return correlate_run<1, kTaps, kRatio>(taps, count, row.start, K, begin, to_step);
      if (taps.rows == 2) return correlate_run<2, kTaps, kRatio>(taps, count, row.start, K, begin, to_step);
      if (taps.rows == 3) return correlate_run<3, kTaps, kRatio>(taps, count, row.start, K, begin, to_step);
    }
    std::int64_t o = first;
    for (; o + kTile <= last; o += kTile) {
      correlate_pixels<kTaps, kRatio, kTile>(taps_of(o, 0, columns.taps), stride, row.start, K, to + o * to_step, to_step);
    }
    for (; o < last; ++o) {
      correlate_pixels<kTaps, kRatio, 1>(taps_of(o, 0, columns.taps), stride, row.start, K, to + o * to_step, to_step);
    }
  });
  clipped(last, columns.outputs);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(correlated_row);

void cpu::correlate_row(const CorrelatedRow& row) { HWY_DYNAMIC_DISPATCH(correlated_row)(row); }

}  // namespace gpucnn::kernels
#endif
