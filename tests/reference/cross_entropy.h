#pragma once

#include <cstdint>

#include "reference/softmax_cross_entropy.h"

namespace gpucnn::reference {

/// The targets of a batch and PyTorch's options: q[n, c] = weight[c] ((1 - label_smoothing) t[n, c] + label_smoothing / C).
struct CrossEntropyTargets {
  std::vector<std::int32_t> labels;  // [N]; if empty
  Values probabilities;              // [N, C]
  Values weight;                     // [C]; if empty: 1
  std::int32_t ignore_index = -100;
  double label_smoothing = 0;
  bool mean = true;
};

/// The sum of -q log softmax(logits), / the sum of weight[label] over the labels that count, / N with probabilities, or / 1. The
/// gradient follows from that of log softmax.
inline CrossEntropy cross_entropy(std::size_t N, std::size_t C, const Values& logits, const CrossEntropyTargets& targets) {
  const auto weight = [&](std::size_t c) { return targets.weight.empty() ? 1.0 : targets.weight[c]; };
  const Values p = softmax(N, C, logits);
  CrossEntropy result{0.0, Values(N * C)};
  double divisor = targets.labels.empty() ? static_cast<double>(N) : 0.0;
  for (std::size_t n = 0; n < N; ++n) {
    if (!targets.labels.empty()) {
      if (targets.labels[n] == targets.ignore_index) continue;
      divisor += weight(static_cast<std::size_t>(targets.labels[n]));
    }
    Values q(C);
    double all = 0;
    for (std::size_t c = 0; c < C; ++c) {
      const double t = targets.labels.empty() ? targets.probabilities[n * C + c] : static_cast<std::size_t>(targets.labels[n]) == c;
      q[c] = weight(c) * ((1 - targets.label_smoothing) * t + targets.label_smoothing / static_cast<double>(C));
      all += q[c];
      result.loss -= q[c] * std::log(p[n * C + c]);
    }
    for (std::size_t c = 0; c < C; ++c) result.dlogits[n * C + c] = all * p[n * C + c] - q[c];
  }
  if (!targets.mean) return result;
  result.loss /= divisor;
  for (double& value : result.dlogits) value /= divisor;
  return result;
}

}  // namespace gpucnn::reference
