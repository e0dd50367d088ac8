#pragma once

#include <span>

#include "reference/softmax.h"

namespace gpucnn::reference {

struct CrossEntropy {
  double loss;
  Values dlogits;
};

/// The mean over n of log(sum over c of exp(logits[n, c])) - logits[n, labels[n]], and its gradient. logits: [N, C].
inline CrossEntropy softmax_cross_entropy(std::size_t N, std::size_t C, const Values& logits,
                                          std::span<const std::int32_t> labels) {
  CrossEntropy result{0.0, softmax(N, C, logits)};
  for (std::size_t n = 0; n < N; ++n) {
    const double* row = logits.data() + n * C;
    const double largest = *std::max_element(row, row + C);
    double sum = 0;
    for (std::size_t c = 0; c < C; ++c) sum += std::exp(row[c] - largest);
    result.loss += std::log(sum) + largest - row[labels[n]];
    result.dlogits[n * C + static_cast<std::size_t>(labels[n])] -= 1.0;
  }
  result.loss /= static_cast<double>(N);
  for (double& value : result.dlogits) value /= static_cast<double>(N);
  return result;
}

}  // namespace gpucnn::reference
