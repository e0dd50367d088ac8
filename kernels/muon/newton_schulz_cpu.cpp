#include <cmath>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/muon/newton_schulz.h>
#include <gpucnn/kernels/muon/twins.h>

// Little work beside the products of matrices between these: loops for the compiler.
namespace gpucnn::kernels {

namespace {

constexpr std::int64_t kGrain = 16 * 1024;  // elements a task

double sum_of_squares(const float* x, std::int64_t count) {
  constexpr std::int64_t kSums = 8;  // side by side
  double sums[kSums] = {};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<double>(x[i]);
    sums[i % kSums] += value * value;
  }
  double sum = 0;
  for (const double each : sums) sum += each;
  return sum;
}

}  // namespace

void cpu::normalize_matrix(const Tensor& x, double eps, Tensor& y, Stream&) {
  const float* from = x.data<float>();
  float* to = y.data<float>();
  const std::int64_t count = x.numel(), tasks = (count + kGrain - 1) / kGrain;
  Tensor memory = Tensor::empty({tasks * std::int64_t{sizeof(double)}}, DType::u8);
  auto* const sums = reinterpret_cast<double*>(memory.bytes());
  parallel_ranges(count, kGrain, [=](std::int64_t first, std::int64_t last) {
    sums[first / kGrain] = sum_of_squares(from + first, last - first);
  });
  double sum = 0;
  for (std::int64_t task = 0; task < tasks; ++task) sum += sums[task];
  const auto norm = static_cast<float>(std::sqrt(sum)), least = static_cast<float>(eps);
  const float divisor = norm < least ? least : norm;
  parallel_ranges(count, kGrain, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) to[i] = from[i] / divisor;
  });
}

void cpu::newton_schulz_polynomial(const Tensor& gram, const Tensor& square, const std::array<double, 3>& coefficients, Tensor& y,
                                   Stream&) {
  const auto a = static_cast<float>(coefficients[0]), b = static_cast<float>(coefficients[1]);
  const auto c = static_cast<float>(coefficients[2]);
  const float *const g = gram.data<float>(), *const s = square.data<float>();
  float* const to = y.data<float>();
  const std::int64_t side = gram.dim(0);
  parallel_ranges(gram.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) to[i] = b * g[i] + c * s[i];
    for (std::int64_t i = (first + side) / (side + 1) * (side + 1); i < last; i += side + 1) to[i] += a;  // the diagonal
  });
}

}  // namespace gpucnn::kernels
