#pragma once

#include <cstdint>

#include <gpucnn/kernels/common/axis.h>

// What a depthwise convolution does with one row of outputs. Pixels have K channels side by side, and each channel has a weight of
// its own: weights are [taps of rows, taps of columns, K].
namespace gpucnn::kernels::cpu {

/// Row `row` of a correlation: to = start + the sum of inputs by weights, where the taps lie inside. `from`: input row `first` of
/// one image; `weight`: `width` taps a row; `start`: [K] or null; `to`: the row in memory, of which columns.to, … are written.
/// `rectifies`: to is ReLU of that.
struct CorrelatedRow {
  const Axis &rows, &columns;
  std::int64_t row;
  const float* from;
  std::int64_t first;
  const float* weight;
  std::int64_t width, K;
  const float* start;
  float* to;
  bool rectifies = false;
};
void correlate_row(const CorrelatedRow& row);

/// Adds the products of row `row` of dy with what its taps read to `sums`, [taps of rows, taps of columns, K].
struct WeightProducts {
  const Axis &rows, &columns;
  std::int64_t row;
  const float* from;
  std::int64_t first;
  const float* dy;
  std::int64_t K;
  float* sums;
};
void add_weight_products(const WeightProducts& row);

/// Adds `pixels` pixels of K channels to `sums`, [K].
void add_pixels(const float* from, std::int64_t pixels, std::int64_t K, float* sums);

}  // namespace gpucnn::kernels::cpu
