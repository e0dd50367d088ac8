#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/loss/softmax_row.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kMaxTasks = 64;
constexpr std::int64_t kGrain = 8 * 1024;  // elements a task, or more

/// The loss of one row; its part of dlogits to `dx` unless that is null.
double row_loss(const float* x, std::int32_t label, float* dx, std::int64_t C, std::int64_t counted) {
  // Both before dx, which may be x, is written.
  const auto chosen = static_cast<double>(x[label]);
  const auto [largest, sum] = cpu::softmax_row(x, dx, C);
  if (dx) {
    const auto scale = static_cast<float>(1 / (sum * static_cast<double>(counted)));
    for (std::int64_t c = 0; c < C; ++c) dx[c] *= scale;
    // In double, because a good prediction leaves little of softmax - 1.
    dx[label] = static_cast<float>((std::exp(chosen - largest) - sum) / (sum * static_cast<double>(counted)));
  }
  return std::log(sum) + largest - chosen;
}

}  // namespace

void cpu::softmax_cross_entropy(const Tensor& logits, const Tensor& labels, std::int32_t ignore_index, Tensor& loss,
                                Tensor& dlogits, Stream&) {
  const std::int64_t N = logits.dim(0), C = logits.dim(1);
  const float* x = logits.data<float>();
  const std::int32_t* label = labels.data<std::int32_t>();
  float* dx = dlogits.defined() ? dlogits.data<float>() : nullptr;
  const std::int64_t counted = N - std::count(label, label + N, ignore_index);
  const std::int64_t rows = std::max({(N + kMaxTasks - 1) / kMaxTasks, kGrain / std::max<std::int64_t>(1, C), std::int64_t{1}});
  std::array<double, kMaxTasks> sums{};
  parallel_ranges(N, rows, [&](std::int64_t first, std::int64_t last) {
    double sum = 0;
    for (std::int64_t n = first; n < last; ++n) {
      if (label[n] == ignore_index) {
        if (dx) std::fill_n(dx + n * C, C, 0.0F);
        continue;
      }
      if (label[n] < 0 || label[n] >= C) {
        throw std::invalid_argument(formatted("softmax_cross_entropy: label {} at index {} is outside [0, {})", label[n], n, C));
      }
      sum += row_loss(x + n * C, label[n], dx ? dx + n * C : nullptr, C, counted);
    }
    sums[static_cast<std::size_t>(first / rows)] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  *loss.data<float>() =
      counted > 0 ? static_cast<float>(total / static_cast<double>(counted)) : std::numeric_limits<float>::quiet_NaN();
}

}  // namespace gpucnn::kernels
