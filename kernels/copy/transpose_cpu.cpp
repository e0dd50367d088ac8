#include <gpucnn/kernels/copy/transpose.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/copy/transpose_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/simd/vectors-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// What `transpose` promises, for columns [first, columns).
void transpose_plain(const float* x, std::int64_t x_row, std::int64_t rows, std::int64_t columns, std::int64_t first, float* y,
                     std::int64_t y_row) {
  for (std::int64_t c = first; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) y[c * y_row + r] = x[r * x_row + c];
  }
}

#if HWY_TARGET == HWY_SCALAR

void transpose(const float* x, std::int64_t x_row, std::int64_t rows, std::int64_t columns, float* y, std::int64_t y_row) {
  transpose_plain(x, x_row, rows, columns, 0, y, y_row);
}

#else

/// Four floats from each of as many rows as `d` has blocks, every fourth row.
template <class D>
HWY_INLINE hn::Vec<D> load_blocks(D d, const float* x, std::int64_t x_row) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return hn::LoadU(d, x);
  } else {
    const hn::Half<D> half;
    constexpr std::int64_t kRows = hn::MaxLanes(half);
    return hn::Combine(d, load_blocks(half, x + kRows * x_row, x_row), load_blocks(half, x, x_row));
  }
}

/// The same for four columns and as many rows as `d` has lanes: block b of a vector begins with row 4 b.
template <class D>
HWY_INLINE void transpose_columns(D d, const float* x, std::int64_t x_row, float* y, std::int64_t y_row) {
  const hn::Repartition<double, D> pairs;
  const auto row0 = load_blocks(d, x, x_row), row1 = load_blocks(d, x + x_row, x_row);
  const auto row2 = load_blocks(d, x + 2 * x_row, x_row), row3 = load_blocks(d, x + 3 * x_row, x_row);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, row0, row1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, row2, row3));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, row0, row1));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, row2, row3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, y);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d, y + y_row);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d, y + 2 * y_row);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d, y + 3 * y_row);
}

void transpose(const float* x, std::int64_t x_row, std::int64_t rows, std::int64_t columns, float* y, std::int64_t y_row) {
  std::int64_t c = 0;
  for (; c + 4 <= columns; c += 4) {
    std::int64_t r = 0;
    for (; r + kLanes <= rows; r += kLanes) transpose_columns(Floats(), x + r * x_row + c, x_row, y + c * y_row + r, y_row);
    const hn::FixedTag<float, 4> block;
    for (; r + 4 <= rows; r += 4) transpose_columns(block, x + r * x_row + c, x_row, y + c * y_row + r, y_row);
    for (; r < rows; ++r) {
      for (std::int64_t k = c; k < c + 4; ++k) y[k * y_row + r] = x[r * x_row + k];
    }
  }
  transpose_plain(x, x_row, rows, columns, c, y, y_row);
}

#endif

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(transpose);

void cpu::transpose(const float* x, std::int64_t x_row, std::int64_t rows, std::int64_t columns, float* y, std::int64_t y_row) {
  HWY_DYNAMIC_DISPATCH(transpose)(x, x_row, rows, columns, y, y_row);
}

}  // namespace gpucnn::kernels
#endif
