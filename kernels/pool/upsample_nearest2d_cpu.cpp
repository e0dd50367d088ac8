#include <algorithm>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/pool/twins.h>

namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kTaskElements = 32 * 1024;  // of y

/// `row`: W pixels of C channels, each to `scale.width` pixels of `to`; then that row to those below it.
void copy_row(const float* row, std::int64_t W, std::int64_t C, Size2 scale, float* to) {
  float* end = to;
  for (std::int64_t w = 0; w < W; ++w) {
    for (int k = 0; k < scale.width; ++k) end = std::copy_n(row + w * C, C, end);
  }
  const std::int64_t line = end - to;
  for (int k = 1; k < scale.height; ++k) end = std::copy_n(to, line, end);
}

}  // namespace

void cpu::upsample_nearest2d(const Tensor& x, Size2 scale, Tensor& y, Stream&) {
  const std::int64_t C = x.dim(1), W = x.dim(3), rows = x.dim(0) * x.dim(2), row = C * W, enlarged = y.numel() / rows;
  const float* from = x.data<float>();
  float* to = y.data<float>();
  parallel_ranges(rows, std::max<std::int64_t>(1, kTaskElements / enlarged), [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) copy_row(from + r * row, W, C, scale, to + r * enlarged);
  });
}

}  // namespace gpucnn::kernels
