#include <gpucnn/data/sampling/weighted_order.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>

namespace gpucnn {
namespace {

/// Inside (0, 1).
double uniform(const RandomStream& random, std::uint64_t draw) {
  const std::uint64_t high = random.word(2 * draw), low = random.word(2 * draw + 1);
  return (static_cast<double>(high << 21 | low >> 11) + 0.5) * 0x1p-53;
}

void draw_with_replacement(std::span<const double> weights, const RandomStream& random, std::span<double> sums,
                           std::span<std::int64_t> order) {
  std::partial_sum(weights.begin(), weights.end(), sums.begin());
  // Where a sum is rounded, u times the last one may reach it: nothing behind the last weight > 0 is drawn.
  const auto last = std::ranges::lower_bound(sums, sums.back()) - sums.begin();
  for (std::size_t i = 0; i < order.size(); ++i) {
    order[i] = std::min(last, std::ranges::upper_bound(sums, uniform(random, i) * sums.back()) - sums.begin());
  }
}

void draw_without_replacement(std::span<const double> weights, const RandomStream& random, std::span<double> keys,
                              std::span<std::int64_t> order) {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    keys[i] = weights[i] > 0 ? -std::log(uniform(random, i)) / weights[i] : std::numeric_limits<double>::infinity();
  }
  // A tie goes to the example without a weight last, then to the first.
  const auto before = [&](std::int64_t a, std::int64_t b) {
    const auto i = static_cast<std::size_t>(a), j = static_cast<std::size_t>(b);
    if (keys[i] != keys[j]) return keys[i] < keys[j];
    return (weights[i] > 0) != (weights[j] > 0) ? weights[i] > 0 : a < b;
  };
  std::iota(order.begin(), order.end(), 0);
  std::ranges::make_heap(order, before);
  for (auto i = std::ssize(order); i < std::ssize(weights); ++i) {
    if (!before(i, order.front())) continue;
    std::ranges::pop_heap(order, before);
    order.back() = i;
    std::ranges::push_heap(order, before);
  }
  std::ranges::sort_heap(order, before);
}

}  // namespace

void check_sampler(const WeightedRandomSampler& sampler, std::int64_t examples) {
  const FloatEnvironment standard;
  const auto& [weights, num_samples, replacement] = sampler;
  if (std::ssize(weights) != examples) {
    throw std::invalid_argument(
        formatted("WeightedRandomSampler: {} examples need as many weights, got {}", examples, weights.size()));
  }
  double sum = 0;
  std::int64_t positive = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!std::isfinite(weights[i]) || weights[i] < 0) {
      throw std::invalid_argument(
          formatted("WeightedRandomSampler: weights must be finite and >= 0, got {} for example {}", weights[i], i));
    }
    sum += weights[i];
    positive += weights[i] > 0 ? 1 : 0;
  }
  if (positive == 0 || !std::isfinite(sum)) {
    throw std::invalid_argument(formatted("WeightedRandomSampler: the sum of the weights must be finite and > 0, got {}", sum));
  }
  if (num_samples < 1 || num_samples > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument(formatted("WeightedRandomSampler: num_samples must be from 1 to 2^32 - 1, got {}", num_samples));
  }
  if (!replacement && num_samples > positive) {
    throw std::invalid_argument(
        formatted("WeightedRandomSampler: without replacement num_samples must be at most {}, the number of weights > 0, got {}",
                  positive, num_samples));
  }
}

void weighted_order(const WeightedRandomSampler& sampler, const RandomStream& random, std::span<double> scratch,
                    std::span<std::int64_t> order) {
  const FloatEnvironment standard;
  (sampler.replacement ? draw_with_replacement : draw_without_replacement)(sampler.weights, random, scratch, order);
}

}  // namespace gpucnn
