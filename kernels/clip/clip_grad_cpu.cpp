#include <algorithm>
#include <array>

#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/clip/norm_formula.h>
#include <gpucnn/kernels/clip/twins.h>

namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kGrain = 32 * 1024;  // elements a task, or more
constexpr std::int64_t kMaxTasks = 64;

/// Of a range, in several sums, so that an addition need not wait for the one before.
template <class Norm>
double total(const Norm& norm, const float* x, std::int64_t count) {
  std::array<double, 8> parts{};
  constexpr auto kParts = static_cast<std::int64_t>(parts.size());
  std::int64_t i = 0;
  for (; i + kParts <= count; i += kParts) {
    for (std::size_t k = 0; k < parts.size(); ++k)
      parts[k] = norm.join(parts[k], norm.term(static_cast<double>(x[i + static_cast<std::int64_t>(k)])));
  }
  for (; i < count; ++i) parts[0] = norm.join(parts[0], norm.term(static_cast<double>(x[i])));
  double all = 0;
  for (const double part : parts) all = norm.join(all, part);
  return all;
}

}  // namespace

void cpu::vector_norm(const Tensor& x, double norm_type, Tensor& norm, Stream&) {
  const std::int64_t count = x.numel(), grain = std::max((count + kMaxTasks - 1) / kMaxTasks, kGrain);
  const float* from = x.data<float>();
  float* to = norm.data<float>();
  with_norm(norm_type, [=](const auto& formula) {
    std::array<double, kMaxTasks> parts{};
    parallel_ranges(count, grain, [&](std::int64_t first, std::int64_t last) {
      parts[static_cast<std::size_t>(first / grain)] = total(formula, from + first, last - first);
    });
    double all = 0;
    for (const double part : parts) all = formula.join(all, part);
    *to = static_cast<float>(formula.root(all));
  });
}

void cpu::clip_by_norm(const Tensor& total_norm, float max_norm, Tensor& gradient, Stream&) {
  const float coefficient = clip_coefficient(*total_norm.data<float>(), max_norm);
  if (coefficient == 1) return;
  float* values = gradient.data<float>();
  parallel_ranges(gradient.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) values[i] *= coefficient;
  });
}

void cpu::clip_by_value(float clip_value, Tensor& gradient, Stream&) {
  float* values = gradient.data<float>();
  parallel_ranges(gradient.numel(), kGrain, [=](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) values[i] = clipped(values[i], clip_value);
  });
}

}  // namespace gpucnn::kernels
