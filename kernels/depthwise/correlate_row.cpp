#include <limits>

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

/// Outputs side by side, `to_step` floats apart. Their sums begin with `start`, [K] or null. Sums below `floor` are written as 0.
struct Outputs {
  const float* start;
  float floor;
  std::int64_t K;
  float* to;
  std::int64_t to_step;
};

/// Writes `kCount` sums. A NaN stays a NaN.
template <int kCount, class D>
HWY_INLINE void write_sums(D d, const hn::Vec<D>* HWY_RESTRICT sums, hn::Vec<D> floor, float* to, std::int64_t to_step) {
  for (int t = 0; t < kCount; ++t) hn::StoreU(hn::IfThenZeroElse(hn::Lt(sums[t], floor), sums[t]), d, to + t * to_step);
}

/// `kCount` outputs.
template <int kTaps, int kRatio, int kCount>
void correlate_pixels(const Taps& taps, std::int64_t stride, const Outputs& outputs) {
  for_channels(outputs.K, [&](auto d, std::int64_t k) HWY_ATTR {
    hn::Vec<decltype(d)> sums[kCount];
    const auto first = outputs.start ? hn::LoadU(d, outputs.start + k) : hn::Zero(d);
    for (int t = 0; t < kCount; ++t) sums[t] = first;
    for (std::int64_t r = 0; r < taps.rows; ++r) add_row<kTaps, kRatio, kCount>(d, taps, r, k, stride, sums);
    write_sums<kCount>(d, sums, hn::Set(d, outputs.floor), outputs.to + k, outputs.to_step);
  });
}

/// What the tiles of `correlate_run` have in common, for the channels of one vector.
template <class D>
struct TileOfRun {
  const Taps& taps;
  const hn::Vec<D>* factors;
  hn::Vec<D> first, floor;
  std::int64_t to_step;
};

/// `kCount` of the outputs of `correlate_run`, with the taps [kFirst, kLast) of each row, from `from` on.
template <int kRows, int kTaps, int kRatio, int kCount, int kFirst = 0, int kLast = kTaps, class D>
HWY_INLINE void correlate_tile(D d, const float* from, const TileOfRun<D>& tile, float* to) {
  constexpr int kInputs = (kCount - 1) * kRatio + kLast - kFirst;
  hn::Vec<D> sums[kCount];
  for (int t = 0; t < kCount; ++t) sums[t] = tile.first;
  for (int r = 0; r < kRows; ++r) {
    hn::Vec<D> inputs[kInputs];
    for (int i = 0; i < kInputs; ++i) inputs[i] = hn::LoadU(d, from + r * tile.taps.from_row + i * tile.taps.from_column);
    for (int s = kFirst; s < kLast; ++s) {
      for (int t = 0; t < kCount; ++t) {
        sums[t] = hn::MulAdd(inputs[t * kRatio + s - kFirst], tile.factors[r * kTaps + s], sums[t]);
      }
    }
  }
  write_sums<kCount>(d, sums, tile.floor, to, tile.to_step);
}

/// Outputs all of whose taps lie inside: `count`, and whether there is one at each end whose outermost tap alone lies outside.
struct Whole {
  std::int64_t count;
  bool left, right;
};

/// Outputs of kRows rows of kTaps taps, up to three each: their weights stay in registers for all of them. `taps`: of the first
/// whole one, as is `outputs`.
template <int kRows, int kTaps, int kRatio>
void correlate_run(const Taps& taps, const Whole& whole, const Outputs& outputs) {
  for_channels(outputs.K, [=](auto d, std::int64_t k) HWY_ATTR {
    using D = decltype(d);
    hn::Vec<D> factors[kRows * kTaps];
    for (int r = 0; r < kRows; ++r) {
      for (int s = 0; s < kTaps; ++s) {
        factors[r * kTaps + s] = hn::LoadU(d, taps.weight + r * taps.weight_row + s * taps.weight_column + k);
      }
    }
    const TileOfRun<D> tile{taps, factors, outputs.start ? hn::LoadU(d, outputs.start + k) : hn::Zero(d), hn::Set(d, outputs.floor),
                            outputs.to_step};
    const std::int64_t stride = kRatio * taps.from_column;
    const float* from = taps.from + k;
    float* out = outputs.to + k;
    if constexpr (kTaps > 1) {
      if (whole.left) {
        correlate_tile<kRows, kTaps, kRatio, 1, 1>(d, from - stride + taps.from_column, tile, out - tile.to_step);
      }
    }
    std::int64_t o = 0;
    for (; o + kTile <= whole.count; o += kTile, from += kTile * stride, out += kTile * tile.to_step) {
      correlate_tile<kRows, kTaps, kRatio, kTile>(d, from, tile, out);
    }
    for (; o < whole.count; ++o, from += stride, out += tile.to_step) {
      correlate_tile<kRows, kTaps, kRatio, 1>(d, from, tile, out);
    }
    if constexpr (kTaps > 1) {
      if (whole.right) correlate_tile<kRows, kTaps, kRatio, 1, 0, kTaps - 1>(d, from, tile, out);
    }
  });
}

/// The outputs of one row, of some rows of taps.
class Row {
 public:
  explicit Row(const cpu::CorrelatedRow& row)
      : row_(row), columns_(row.columns), r_first_(row.rows.first_tap(row.row)), r_last_(row.rows.last_tap(row.row)) {}

  void correlate() const {
    const bool is_long = (r_last_ - r_first_) * columns_.taps > kMaxTerms;
    with_taps(is_long ? 0 : columns_.taps, columns_.stride, columns_.step, [this]<class OfTaps>(OfTaps) {
      if constexpr (OfTaps::kTaps > 0 && OfTaps::kTaps <= kMostRunTaps) {
        const std::int64_t rows = r_last_ - r_first_;
        if (rows == 1) return run<1, OfTaps>();
        if (rows == 2) return run<2, OfTaps>();
        if (rows == 3) return run<3, OfTaps>();
      }
      tiles<OfTaps>();
    });
  }

 private:
  Taps taps_of(std::int64_t o, std::int64_t first, std::int64_t last) const {
    const cpu::Axis& rows = row_.rows;
    const std::int64_t line = columns_.inputs * row_.K;
    const std::int64_t input_row = rows.origin + row_.row * rows.stride + r_first_ * rows.step - row_.first;
    const std::int64_t input = columns_.origin + o * columns_.stride + first * columns_.step;
    const std::int64_t weight_row = rows.weight + r_first_ * rows.weight_step;
    const std::int64_t weight_column = columns_.weight + first * columns_.weight_step;
    const bool none = r_first_ == r_last_ || first == last;
    return Taps{.from = none ? row_.from : row_.from + input_row * line + input * row_.K,
                .from_row = rows.step * line,
                .from_column = columns_.step * row_.K,
                .weight = none ? row_.weight : row_.weight + (weight_row * row_.width + weight_column) * row_.K,
                .weight_row = rows.weight_step * row_.width * row_.K,
                .weight_column = columns_.weight_step * row_.K,
                .rows = none ? 0 : r_last_ - r_first_,
                .columns = last - first};
  }
  Outputs outputs_from(std::int64_t o) const {
    const float floor = row_.rectifies ? 0.0F : -std::numeric_limits<float>::infinity();
    const std::int64_t to_step = columns_.to_step * row_.K;
    return {row_.start, floor, row_.K, row_.to + columns_.to * row_.K + o * to_step, to_step};
  }

  void clipped(std::int64_t first, std::int64_t last) const {
    for (std::int64_t o = first; o < last; ++o) {
      correlate_pixels<0, 0, 1>(taps_of(o, columns_.first_tap(o), columns_.last_tap(o)), 0, outputs_from(o));
    }
  }

  /// Outputs of kRows rows of taps whose weights stay in registers.
  template <int kRows, class OfTaps>
  void run() const {
    constexpr int kTaps = OfTaps::kTaps;
    const std::int64_t first = columns_.first_whole(), last = columns_.last_whole();
    const auto has = [this](std::int64_t o, std::int64_t first_tap, std::int64_t last_tap) {
      return columns_.first_tap(o) == first_tap && columns_.last_tap(o) == last_tap;
    };
    const Whole whole{last - first, kTaps > 1 && first > 0 && has(first - 1, 1, kTaps),
                      kTaps > 1 && last < columns_.outputs && has(last, 0, kTaps - 1)};
    clipped(0, first - whole.left);
    correlate_run<kRows, kTaps, OfTaps::kRatio>(taps_of(first, 0, kTaps), whole, outputs_from(first));
    clipped(last + whole.right, columns_.outputs);
  }

  /// Outputs in tiles.
  template <class OfTaps>
  void tiles() const {
    constexpr int kTaps = OfTaps::kTaps, kRatio = OfTaps::kRatio;
    const std::int64_t first = columns_.first_whole(), last = columns_.last_whole(), stride = columns_.stride * row_.K;
    clipped(0, first);
    std::int64_t o = first;
    for (; o + kTile <= last; o += kTile) {
      correlate_pixels<kTaps, kRatio, kTile>(taps_of(o, 0, columns_.taps), stride, outputs_from(o));
    }
    for (; o < last; ++o) correlate_pixels<kTaps, kRatio, 1>(taps_of(o, 0, columns_.taps), stride, outputs_from(o));
    clipped(last, columns_.outputs);
  }

  const cpu::CorrelatedRow& row_;
  const cpu::Axis& columns_;
  std::int64_t r_first_, r_last_;  // rows of taps that lie inside
};

void correlated_row(const cpu::CorrelatedRow& row) { Row(row).correlate(); }

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(correlated_row);

void cpu::correlate_row(const CorrelatedRow& row) { HWY_DYNAMIC_DISPATCH(correlated_row)(row); }

}  // namespace gpucnn::kernels
#endif
