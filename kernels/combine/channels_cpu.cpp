#include <algorithm>
#include <cstddef>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/combine/twins.h>

namespace gpucnn::kernels {
namespace {

/// to[r, :width] = from[r, :width] for `rows` rows, which lie `from_pitch` and `to_pitch` elements apart.
void copy_rows(const float* from, std::int64_t from_pitch, float* to, std::int64_t to_pitch, std::int64_t rows,
               std::int64_t width) {
  constexpr std::int64_t kGrain = 32 * 1024;  // elements a task
  parallel_ranges(rows, std::max<std::int64_t>(1, kGrain / width), [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) std::copy_n(from + r * from_pitch, width, to + r * to_pitch);
  });
}

}  // namespace

void cpu::put_columns(const Tensor& part, const ColumnBlock& columns, Tensor& whole, Stream&) {
  copy_rows(part.data<float>(), columns.width, whole.data<float>() + columns.first, columns.pitch, columns.rows, columns.width);
}

void cpu::take_columns(const Tensor& whole, const ColumnBlock& columns, Tensor& part, Stream&) {
  copy_rows(whole.data<float>() + columns.first, columns.pitch, part.data<float>(), columns.width, columns.rows, columns.width);
}

}  // namespace gpucnn::kernels
