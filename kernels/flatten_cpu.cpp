#include <algorithm>

#include <gpucnn/core/parallel.h>
#include <gpucnn/core/tensor.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/flatten_cpu.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/lanes-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

/// y[c][r] = x[r][c] for rows [0, rows) and columns [first, columns).
void transpose_plain(const float* x, float* y, std::int64_t rows, std::int64_t columns, std::int64_t first) {
  for (std::int64_t c = first; c < columns; ++c) {
    for (std::int64_t r = 0; r < rows; ++r) y[c * rows + r] = x[r * columns + c];
  }
}

#if HWY_TARGET == HWY_SCALAR

void transpose(const float* x, float* y, std::int64_t rows, std::int64_t columns) { transpose_plain(x, y, rows, columns, 0); }

#else

/// The same for four rows and four columns.
HWY_INLINE void transpose_4x4(const float* x, float* y, std::int64_t rows, std::int64_t columns) {
  const hn::FixedTag<float, 4> d;
  const hn::FixedTag<double, 2> pairs;
  const auto row0 = hn::LoadU(d, x), row1 = hn::LoadU(d, x + columns);
  const auto row2 = hn::LoadU(d, x + 2 * columns), row3 = hn::LoadU(d, x + 3 * columns);
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(d, row0, row1));
  const auto low23 = hn::BitCast(pairs, hn::InterleaveLower(d, row2, row3));
  const auto high01 = hn::BitCast(pairs, hn::InterleaveUpper(d, row0, row1));
  const auto high23 = hn::BitCast(pairs, hn::InterleaveUpper(d, row2, row3));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, low01, low23)), d, y);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, low01, low23)), d, y + rows);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(pairs, high01, high23)), d, y + 2 * rows);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(pairs, high01, high23)), d, y + 3 * rows);
}

/// y[c][r] = x[r][c].
void transpose(const float* x, float* y, std::int64_t rows, std::int64_t columns) {
  std::int64_t c = 0;
  for (; c + 4 <= columns; c += 4) {
    std::int64_t r = 0;
    for (; r + 4 <= rows; r += 4) transpose_4x4(x + r * columns + c, y + c * rows + r, rows, columns);
    for (; r < rows; ++r) {
      for (std::int64_t k = c; k < c + 4; ++k) y[k * rows + r] = x[r * columns + k];
    }
  }
  transpose_plain(x, y, rows, columns, c);
}

#endif

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(transpose);

namespace cpu {
namespace {

/// Transposes each of `count` matrices.
void transpose_all(const float* x, float* y, std::int64_t count, std::int64_t rows, std::int64_t columns) {
  const std::int64_t matrix = rows * columns;
  if (count * matrix == 0) return;
  constexpr std::int64_t kGrain = 32 * 1024;  // elements a task
  parallel_ranges(count, std::max<std::int64_t>(1, kGrain / matrix), [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) HWY_DYNAMIC_DISPATCH(transpose)(x + i * matrix, y + i * matrix, rows, columns);
  });
}

}  // namespace

void flatten(const Tensor& x, Tensor& y) {
  transpose_all(x.data<float>(), y.data<float>(), x.dim(0), x.dim(2) * x.dim(3), x.dim(1));
}

void flatten_backward(const Tensor& dy, Tensor& dx) {
  transpose_all(dy.data<float>(), dx.data<float>(), dx.dim(0), dx.dim(1), dx.dim(2) * dx.dim(3));
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
