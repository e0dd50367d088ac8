#include <algorithm>
#include <cmath>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/metrics/twins.h>

namespace gpucnn::kernels {
namespace {

std::int64_t first_largest(const float* row, std::int64_t C) {
  std::int64_t best = 0;
  for (std::int64_t c = 0; c < C; ++c) {
    if (std::isnan(row[c])) return c;
    if (row[c] > row[best]) best = c;
  }
  return best;
}

}  // namespace

void cpu::argmax(const Tensor& x, Tensor& y, Stream&) {
  constexpr std::int64_t kGrain = 32 * 1024;  // elements a task
  const std::int64_t C = x.dim(1);
  const float* from = x.data<float>();
  std::int64_t* to = y.data<std::int64_t>();
  parallel_ranges(x.dim(0), std::max<std::int64_t>(1, kGrain / C), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t n = first; n < last; ++n) to[n] = first_largest(from + n * C, C);
  });
}

}  // namespace gpucnn::kernels
