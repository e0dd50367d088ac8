#pragma once

#include <cstdint>
#include <span>

#include <gpucnn/core/random.h>
#include <gpucnn/data/sampling/weighted_random_sampler.h>

namespace gpucnn {

/// Throws `std::invalid_argument` unless the sampler is one for so many examples.
void check_sampler(const WeightedRandomSampler& sampler, std::int64_t examples);

/// Fills `order` with the `num_samples` examples that are drawn. `scratch` has as many values as there are weights.
void weighted_order(const WeightedRandomSampler& sampler, const RandomStream& random, std::span<double> scratch,
                    std::span<std::int64_t> order);

}  // namespace gpucnn
