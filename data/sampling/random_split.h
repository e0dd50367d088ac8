#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/data/sampling/subset.h>

namespace gpucnn {

/// Splits a dataset at random into subsets of these lengths that share no example, as PyTorch's `torch.utils.data.random_split`.
/// The order is 0 to size - 1 shuffled as a DataLoader does, by RandomStream(seed, Purpose::shuffle, 1). The first subset is its
/// beginning. Throws `std::invalid_argument` for a negative length, and unless the lengths add up to the dataset's size.
GPUCNN_API std::vector<Subset> random_split(const std::shared_ptr<const Dataset>& dataset, const std::vector<std::int64_t>& lengths,
                                            std::uint64_t seed = 0);

/// The same by fractions. Each subset gets floor(size * fraction) examples, and those that are left go to the first subsets, one to
/// each. Throws `std::invalid_argument` unless every fraction is from 0 to 1 and they add up to 1, but for 1e-9.
GPUCNN_API std::vector<Subset> random_split_fractions(const std::shared_ptr<const Dataset>& dataset,
                                                      const std::vector<double>& fractions, std::uint64_t seed = 0);

/// Both, of any dataset by value.
template <std::derived_from<Dataset> D>
std::vector<Subset> random_split(D dataset, const std::vector<std::int64_t>& lengths, std::uint64_t seed = 0) {
  return random_split(std::shared_ptr<const Dataset>(std::make_shared<const D>(std::move(dataset))), lengths, seed);
}
template <std::derived_from<Dataset> D>
std::vector<Subset> random_split_fractions(D dataset, const std::vector<double>& fractions, std::uint64_t seed = 0) {
  return random_split_fractions(std::shared_ptr<const Dataset>(std::make_shared<const D>(std::move(dataset))), fractions, seed);
}

}  // namespace gpucnn
