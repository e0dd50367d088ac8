#pragma once

#include <cmath>

#include "reference/values.h"

namespace gpucnn::reference {

/// y = (x - mean) / sqrt(var + eps) * weight + bias. x: [N, C, pixels]; its groups are sets of values with a mean and a variance of
/// their own: in batch normalisation a channel of all images, in group normalisation C / groups channels of one.
struct Normalize {
  std::int64_t N, C, pixels;
  std::int64_t groups = 0;  // of an image; 0: batch normalisation
  double eps = 1e-5;

  std::int64_t numel() const { return N * C * pixels; }
  std::int64_t count() const { return groups == 0 ? C : N * groups; }
  std::int64_t channel(std::int64_t i) const { return i / pixels % C; }
  std::int64_t group(std::int64_t i) const {
    return groups == 0 ? channel(i) : i / (C * pixels) * groups + channel(i) / (C / groups);
  }
};

struct Statistics {
  Values mean, var;
};

/// Of each group, with the biased variance.
inline Statistics statistics(const Normalize& n, const Values& x) {
  const auto count = static_cast<std::size_t>(n.count());
  const double values = static_cast<double>(n.numel()) / static_cast<double>(count);
  Statistics s{Values(count), Values(count)};
  for (std::int64_t i = 0; i < n.numel(); ++i) s.mean[n.group(i)] += x[i] / values;
  for (std::int64_t i = 0; i < n.numel(); ++i) s.var[n.group(i)] += std::pow(x[i] - s.mean[n.group(i)], 2) / values;
  return s;
}

inline Values normalize(const Normalize& n, const Values& x, const Statistics& s, const Values& weight, const Values& bias) {
  Values y(x.size());
  for (std::int64_t i = 0; i < n.numel(); ++i) {
    const std::int64_t c = n.channel(i), g = n.group(i);
    y[i] = (x[i] - s.mean[g]) / std::sqrt(s.var[g] + n.eps) * weight[c] + bias[c];
  }
  return y;
}

struct NormalizeGradients {
  Values dx, dweight, dbias;
};

/// `fixed`: the statistics are not those of x.
inline NormalizeGradients normalize_backward(const Normalize& n, const Values& x, const Statistics& s, const Values& weight,
                                             const Values& dy, bool fixed) {
  NormalizeGradients to{Values(x.size()), Values(weight.size()), Values(weight.size())};
  const double values = static_cast<double>(n.numel()) / static_cast<double>(n.count());
  Values sums(s.mean.size()), products(s.mean.size());  // of each group
  const auto normal = [&](std::int64_t i) { return (x[i] - s.mean[n.group(i)]) / std::sqrt(s.var[n.group(i)] + n.eps); };
  for (std::int64_t i = 0; i < n.numel(); ++i) {
    const std::int64_t c = n.channel(i), g = n.group(i);
    to.dbias[c] += dy[i];
    to.dweight[c] += dy[i] * normal(i);
    sums[g] += dy[i] * weight[c];
    products[g] += dy[i] * weight[c] * normal(i);
  }
  for (std::int64_t i = 0; i < n.numel(); ++i) {
    const std::int64_t g = n.group(i);
    const double share = fixed ? 0 : (sums[g] + normal(i) * products[g]) / values;
    to.dx[i] = (dy[i] * weight[n.channel(i)] - share) / std::sqrt(s.var[g] + n.eps);
  }
  return to;
}

}  // namespace gpucnn::reference
