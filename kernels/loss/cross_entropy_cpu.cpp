#include <algorithm>
#include <array>
#include <cmath>
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

/// What a batch is held against.
struct Targets {
  const std::int32_t* labels;  // one of these two is null
  const float* probabilities;
  const float* weight;  // or null: 1
  std::int32_t ignore_index;
  double kept, spread;  // 1 - eps and eps / C
  std::int64_t C;

  double weight_of(std::int64_t c) const { return weight ? static_cast<double>(weight[c]) : 1; }
  /// q[n, c]
  double at(std::int64_t n, std::int64_t c) const {
    const double t = labels ? static_cast<double>(labels[n] == c) : static_cast<double>(probabilities[n * C + c]);
    return weight_of(c) * (kept * t + spread);
  }
  bool is_ignored(std::int64_t n) const { return labels && labels[n] == ignore_index; }
};

/// The weights of the labels that count.
double sum_of_weights(const Targets& targets, std::int64_t N) {
  double sum = 0;
  for (std::int64_t n = 0; n < N; ++n) {
    const std::int32_t label = targets.labels[n];
    if (targets.is_ignored(n)) continue;
    if (label < 0 || label >= targets.C) {
      throw std::invalid_argument(formatted("cross_entropy: label {} at index {} is outside [0, {})", label, n, targets.C));
    }
    sum += targets.weight_of(label);
  }
  return sum;
}

/// The sum over c of -q log softmax(x), of row n; its part of dlogits to `dx`.
double row_loss(const float* x, const Targets& targets, std::int64_t n, double divisor, float* dx) {
  const std::int64_t C = targets.C;
  if (targets.is_ignored(n)) {
    std::fill_n(dx, C, 0.0F);
    return 0;
  }
  const auto [largest, sum] = cpu::softmax_row(x, dx, C);
  const double log_sum = std::log(sum);
  const bool label_only = targets.labels && targets.spread == 0;  // the others' q is 0, and their logits may be -infinity
  double loss = 0, all = 0;
  for (std::int64_t c = label_only ? targets.labels[n] : 0; c < (label_only ? targets.labels[n] + 1 : C); ++c) {
    const double q = targets.at(n, c);
    loss += q * (log_sum + largest - static_cast<double>(x[c]));
    all += q;
  }
  for (std::int64_t c = 0; c < C; ++c) {
    const double q = targets.at(n, c);
    // In double where something is subtracted, because a good prediction leaves little.
    const double e = q == 0 ? static_cast<double>(dx[c]) : std::exp(static_cast<double>(x[c]) - largest);
    dx[c] = static_cast<float>((e * all - q * sum) / (sum * divisor));
  }
  return loss;
}

}  // namespace

void cpu::cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options, Tensor& loss,
                        Tensor& dlogits, Stream&) {
  const std::int64_t N = logits.dim(0), C = logits.dim(1);
  const float* x = logits.data<float>();
  const bool probable = target.dtype() == DType::f32;
  const Targets targets{.labels = probable ? nullptr : target.data<std::int32_t>(),
                        .probabilities = probable ? target.data<float>() : nullptr,
                        .weight = options.weight.defined() ? options.weight.data<float>() : nullptr,
                        .ignore_index = options.ignore_index,
                        .kept = 1 - options.label_smoothing,
                        .spread = options.label_smoothing / static_cast<double>(C),
                        .C = C};
  const double weights = probable ? static_cast<double>(N) : sum_of_weights(targets, N);
  const double divisor = options.reduction == Reduction::mean ? weights : 1;
  float* dx = dlogits.data<float>();
  const std::int64_t rows = std::max({(N + kMaxTasks - 1) / kMaxTasks, kGrain / std::max<std::int64_t>(1, C), std::int64_t{1}});
  std::array<double, kMaxTasks> sums{};
  parallel_ranges(N, rows, [&](std::int64_t first, std::int64_t last) {
    double sum = 0;
    for (std::int64_t n = first; n < last; ++n) sum += row_loss(x + n * C, targets, n, divisor, dx + n * C);
    sums[static_cast<std::size_t>(first / rows)] = sum;
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  *loss.data<float>() = static_cast<float>(total / divisor);
}

}  // namespace gpucnn::kernels
