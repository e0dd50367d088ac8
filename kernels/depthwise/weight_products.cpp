#include <gpucnn/kernels/depthwise/rows.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/depthwise/weight_products.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/depthwise/channels-inl.h>

// Vectors run over the channels. The sums of all taps lie in the L1 cache; a tile of gradients side by side updates each once.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// Products of gradients with `rows` x `columns` inputs from `from` on, for sums from `sums` on. Steps are in floats.
struct Products {
  const float* from;
  std::int64_t from_row, from_column;
  float* sums;
  std::int64_t sums_row;
  std::int64_t rows, columns;
};

/// Adds row r of the products of `kCount` gradients, whose inputs are `stride` floats apart.
template <int kTaps, int kRatio, int kCount, class D>
HWY_INLINE void add_row(D d, const Products& products, std::int64_t r, std::int64_t k, std::int64_t K, std::int64_t stride,
                        const hn::Vec<D>* HWY_RESTRICT dy) {
  const float* from = products.from + r * products.from_row + k;
  float* sums = products.sums + r * products.sums_row + k;
  if constexpr (kTaps > 0) {
    constexpr int kInputs = (kCount - 1) * kRatio + kTaps;
    hn::Vec<D> inputs[kInputs];
    for (int i = 0; i < kInputs; ++i) inputs[i] = hn::LoadU(d, from + i * products.from_column);
    for (int s = 0; s < kTaps; ++s) {
      auto sum = hn::LoadU(d, sums + s * K);
      for (int t = 0; t < kCount; ++t) sum = hn::MulAdd(inputs[t * kRatio + s], dy[t], sum);
      hn::StoreU(sum, d, sums + s * K);
    }
  } else {
    for (std::int64_t s = 0; s < products.columns; ++s) {
      auto sum = hn::LoadU(d, sums + s * K);
      for (int t = 0; t < kCount; ++t) sum = hn::MulAdd(hn::LoadU(d, from + t * stride + s * products.from_column), dy[t], sum);
      hn::StoreU(sum, d, sums + s * K);
    }
  }
}

template <int kTaps, int kRatio, int kCount>
void add_products(const Products& products, std::int64_t stride, const float* dy, std::int64_t K) {
  for_channels(K, [&](auto d, std::int64_t k) HWY_ATTR {
    hn::Vec<decltype(d)> gradients[kCount];
    for (int t = 0; t < kCount; ++t) gradients[t] = hn::LoadU(d, dy + t * K + k);
    for (std::int64_t r = 0; r < products.rows; ++r) add_row<kTaps, kRatio, kCount>(d, products, r, k, K, stride, gradients);
  });
}

void products_of_row(const cpu::WeightProducts& row) {
  const cpu::Axis &rows = row.rows, &columns = row.columns;
  const std::int64_t K = row.K, line = columns.inputs * K;
  const std::int64_t r_first = rows.first_tap(row.row), r_last = rows.last_tap(row.row);
  if (r_first == r_last) return;
  const float* from = row.from + (rows.origin + row.row * rows.stride + r_first * rows.step - row.first) * line;
  const auto products_of = [&](std::int64_t o, std::int64_t first, std::int64_t last) {
    return Products{.from = from + (columns.origin + o * columns.stride + first * columns.step) * K,
                    .from_row = rows.step * line,
                    .from_column = columns.step * K,
                    .sums = row.sums + (r_first * columns.taps + first) * K,
                    .sums_row = columns.taps * K,
                    .rows = r_last - r_first,
                    .columns = last - first};
  };
  const std::int64_t stride = columns.stride * K;
  const auto clipped = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t o = first; o < last; ++o) {
      const std::int64_t s_first = columns.first_tap(o), s_last = columns.last_tap(o);
      if (s_first < s_last) add_products<0, 0, 1>(products_of(o, s_first, s_last), stride, row.dy + o * K, K);
    }
  };
  const std::int64_t first = columns.first_whole(), last = columns.last_whole();
  clipped(0, first);
  with_taps(columns.taps, columns.stride, columns.step, [&]<class Row>(Row) {
    constexpr int kTaps = Row::kTaps, kRatio = Row::kRatio;
    std::int64_t o = first;
    for (; o + kTile <= last; o += kTile) {
      add_products<kTaps, kRatio, kTile>(products_of(o, 0, columns.taps), stride, row.dy + o * K, K);
    }
    for (; o < last; ++o) add_products<kTaps, kRatio, 1>(products_of(o, 0, columns.taps), stride, row.dy + o * K, K);
  });
  clipped(last, columns.outputs);
}

void sum_of_pixels(const float* from, std::int64_t pixels, std::int64_t K, float* sums) {
  for_channels(K, [=](auto d, std::int64_t k) HWY_ATTR {
    auto sum = hn::LoadU(d, sums + k);
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) sum = hn::Add(sum, hn::LoadU(d, from + pixel * K + k));
    hn::StoreU(sum, d, sums + k);
  });
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(products_of_row);
HWY_EXPORT(sum_of_pixels);

void cpu::add_weight_products(const WeightProducts& row) { HWY_DYNAMIC_DISPATCH(products_of_row)(row); }

void cpu::add_pixels(const float* from, std::int64_t pixels, std::int64_t K, float* sums) {
  HWY_DYNAMIC_DISPATCH(sum_of_pixels)(from, pixels, K, sums);
}

}  // namespace gpucnn::kernels
#endif
