#include <algorithm>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/copy/transpose.h>
#include <gpucnn/kernels/copy/twins.h>

namespace gpucnn::kernels {
namespace {

/// Transposes each of `count` matrices.
void transpose_all(const float* x, float* y, std::int64_t count, std::int64_t rows, std::int64_t columns) {
  const std::int64_t matrix = rows * columns;
  if (count * matrix == 0) return;
  constexpr std::int64_t kGrain = 32 * 1024;    // elements a task
  const bool same = rows == 1 || columns == 1;  // transposed it lies as it did
  parallel_ranges(count, std::max<std::int64_t>(1, kGrain / matrix), [=](std::int64_t first, std::int64_t last) {
    if (same) return static_cast<void>(std::copy_n(x + first * matrix, (last - first) * matrix, y + first * matrix));
    for (std::int64_t i = first; i < last; ++i) cpu::transpose(x + i * matrix, rows, columns, y + i * matrix, rows);
  });
}

}  // namespace

void cpu::flatten(const Tensor& x, Tensor& y, Stream&) {
  transpose_all(x.data<float>(), y.data<float>(), x.dim(0), x.dim(2) * x.dim(3), x.dim(1));
}

void cpu::flatten_backward(const Tensor& dy, Tensor& dx, Stream&) {
  transpose_all(dy.data<float>(), dx.data<float>(), dx.dim(0), dx.dim(1), dx.dim(2) * dx.dim(3));
}

}  // namespace gpucnn::kernels
