#include <gpucnn/train/tensorboard/histogram.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace gpucnn::tensorboard {
namespace {

/// From -max through 0 to max: 1e-12 and so on up to 1e20, each 1.1 times the last, and the same below 0.
std::vector<double> bucket_edges() {
  std::vector<double> edges{0.0};
  for (double edge = 1e-12; edge < 1e20; edge *= 1.1) edges.push_back(edge);
  edges.push_back(std::numeric_limits<double>::max());
  const std::vector<double> upper(edges.begin() + 1, edges.end());
  std::ranges::for_each(upper, [&](double edge) { edges.push_back(-edge); });
  std::ranges::sort(edges);
  return edges;
}

}  // namespace

Histogram histogram_of(std::span<const float> values) {
  static const std::vector<double> edges = bucket_edges();
  Histogram result{.min = std::numeric_limits<double>::infinity(), .max = -std::numeric_limits<double>::infinity()};
  std::vector<double> counts(edges.size() - 1);
  for (const float single : values) {
    const double value{single};
    if (!std::isfinite(value)) continue;
    result.min = std::min(result.min, value);
    result.max = std::max(result.max, value);
    result.count += 1;
    result.sum += value;
    result.sum_of_squares += value * value;
    counts[static_cast<std::size_t>(std::ranges::upper_bound(edges, value) - edges.begin()) - 1] += 1;
  }
  if (result.count == 0) return {};
  const auto is_used = [](double count) { return count > 0; };
  const auto first = std::ranges::find_if(counts, is_used) - counts.begin();
  const auto last = std::find_if(counts.rbegin(), counts.rend(), is_used).base() - counts.begin();
  result.counts = {0.0};
  result.counts.insert(result.counts.end(), counts.begin() + first, counts.begin() + last);
  result.limits.assign(edges.begin() + first, edges.begin() + last + 1);
  return result;
}

}  // namespace gpucnn::tensorboard
