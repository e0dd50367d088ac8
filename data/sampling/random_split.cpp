#include <gpucnn/data/sampling/random_split.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <stdexcept>

#include <gpucnn/core/random.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/data/sampling/shuffle.h>

namespace gpucnn {
namespace {

constexpr std::uint32_t kSplit = 1;  // of the streams for shuffling; 0 is a DataLoader's
constexpr double kTolerance = 1e-9;

std::int64_t checked_size(const Dataset* dataset, const char* call) {
  if (!dataset) throw std::invalid_argument(formatted("{}: there is no dataset", call));
  const std::int64_t size = dataset->size();
  if (size > std::numeric_limits<std::uint32_t>::max()) {
    throw std::invalid_argument(formatted("{}: the dataset's size must be at most 2^32 - 1, got {}", call, size));
  }
  return size;
}

}  // namespace

std::vector<Subset> random_split(const std::shared_ptr<const Dataset>& dataset, const std::vector<std::int64_t>& lengths,
                                 std::uint64_t seed) {
  const std::int64_t size = checked_size(dataset.get(), "random_split");
  std::int64_t left = size;
  bool fit = true;
  for (const std::int64_t length : lengths) {
    fit = fit && length >= 0 && length <= left;
    left -= fit ? length : 0;
  }
  if (!fit || left != 0) {
    throw std::invalid_argument(formatted("random_split: lengths must be >= 0 and add up to the dataset's size, {}, got [{}]", size,
                                          joined(lengths, ", ")));
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  shuffle(order, RandomStream(seed, Purpose::shuffle, kSplit));
  std::vector<Subset> parts;
  parts.reserve(lengths.size());
  auto from = order.cbegin();
  for (const std::int64_t length : lengths) {
    parts.emplace_back(dataset, std::vector<std::int64_t>(from, from + length));
    from += length;
  }
  return parts;
}

std::vector<Subset> random_split_fractions(const std::shared_ptr<const Dataset>& dataset, const std::vector<double>& fractions,
                                           std::uint64_t seed) {
  const std::int64_t size = checked_size(dataset.get(), "random_split_fractions");
  const FloatEnvironment standard;
  const double sum = std::accumulate(fractions.begin(), fractions.end(), 0.0);
  bool fit = std::abs(sum - 1) <= kTolerance;
  for (const double fraction : fractions) fit = fit && fraction >= 0 && fraction <= 1;
  if (!fit) {
    throw std::invalid_argument(
        formatted("random_split_fractions: fractions must be from 0 to 1 and add up to 1, got [{}]", joined(fractions, ", ")));
  }
  std::vector<std::int64_t> lengths;
  std::int64_t left = size;
  for (const double fraction : fractions) {
    // Fractions that add up to a little more than 1 may not claim more than there is.
    lengths.push_back(std::min(left, static_cast<std::int64_t>(std::floor(static_cast<double>(size) * fraction))));
    left -= lengths.back();
  }
  for (std::size_t i = 0; left > 0; ++i, --left) ++lengths[i % lengths.size()];
  return random_split(dataset, lengths, seed);
}

}  // namespace gpucnn
