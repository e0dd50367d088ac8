#include <gpucnn/data/sampling/weighted_random_sampler.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/random.h>

#include "data/allocation_count.h"
#include "data/sampling/counting.h"
#include "device_test.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using ::testing::Each;

/// The examples of one epoch.
std::vector<std::int32_t> drawn(const WeightedRandomSampler& sampler, std::uint64_t epoch = 0) {
  DataLoader loader(counting(std::ssize(sampler.weights)), {.batch_size = 1'000, .seed = 4, .sampler = sampler});
  loader.set_epoch(epoch);
  return labels_of_epoch(loader);
}

/// How often each example comes.
std::vector<double> shares(const std::vector<std::int32_t>& draws, std::size_t examples) {
  std::vector<double> shares(examples);
  for (const std::int32_t draw : draws) shares[static_cast<std::size_t>(draw)] += 1.0 / static_cast<double>(draws.size());
  return shares;
}

void expect_share(double seen, double expected, double draws) {
  EXPECT_NEAR(seen, expected, 5 * std::sqrt(expected * (1 - expected) / draws));  // five standard deviations
}

/// The formula of the contract.
double uniform(const RandomStream& random, std::uint64_t draw) {
  const std::uint64_t words = std::uint64_t{random.word(2 * draw)} << 32 | random.word(2 * draw + 1);
  return (static_cast<double>(words >> 11) + 0.5) / 0x1p53;
}

class WeightedSampling : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, WeightedSampling, devices(), device_name);

TEST_P(WeightedSampling, DeliversTheExamplesThatTheContractNames) {
  const std::vector<double> weights{1, 0, 2, 0.5, 3};
  DataLoader loader(counting(5, device()), {.batch_size = 4, .seed = 9, .sampler = {{.weights = weights, .num_samples = 10}}});
  EXPECT_EQ(loader.size(), 3);
  for (const std::uint64_t epoch : {0, 1}) {
    const RandomStream random(9, Purpose::shuffle, 2, epoch);
    std::vector<std::int32_t> expected;
    for (std::uint64_t i = 0; i < 10; ++i) {
      double rest = uniform(random, i) * 6.5;
      std::int32_t example = 0;
      while (rest >= weights[static_cast<std::size_t>(example)]) rest -= weights[static_cast<std::size_t>(example++)];
      expected.push_back(example);
    }
    EXPECT_EQ(labels_of_epoch(loader), expected) << epoch;
  }
}

TEST(WeightedRandomSampler, DrawsInProportionToTheWeights) {
  const std::vector<std::int32_t> draws = drawn({.weights = {1, 0, 2, 5, 2}, .num_samples = 100'000});
  const std::vector<double> expected{0.1, 0, 0.2, 0.5, 0.2}, seen = shares(draws, 5);
  for (std::size_t i = 0; i < 5; ++i) expect_share(seen[i], expected[i], 100'000);
}

TEST(WeightedRandomSampler, WithoutReplacementDrawsEachAtMostOnceTheHeavyOnesFirst) {
  const WeightedRandomSampler sampler{.weights = {1, 2, 0, 3, 4}, .num_samples = 4, .replacement = false};
  std::vector<std::int32_t> firsts, seconds;
  for (std::uint64_t epoch = 0; epoch < 4'000; ++epoch) {
    const std::vector<std::int32_t> draws = drawn(sampler, epoch);
    ASSERT_EQ(std::set<std::int32_t>(draws.begin(), draws.end()), (std::set<std::int32_t>{0, 1, 3, 4}));
    firsts.push_back(draws[0]);
    seconds.push_back(draws[1]);
  }
  for (std::size_t i = 0; i < 5; ++i) {
    const std::vector<double>& weights = sampler.weights;
    double second = 0;  // as one draw after the other
    for (std::size_t j = 0; j < 5; ++j) second += j == i ? 0 : weights[j] / 10 * weights[i] / (10 - weights[j]);
    expect_share(shares(firsts, 5)[i], weights[i] / 10, 4'000);
    expect_share(shares(seconds, 5)[i], second, 4'000);
  }
}

TEST(WeightedRandomSampler, WithoutReplacementTakesTheSmallestKeysOfTheContract) {
  std::vector<double> weights(300);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<double>(i % 7);
  const RandomStream random(4, Purpose::shuffle, 2, 0);
  std::vector<std::pair<double, std::int32_t>> keys;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0) keys.emplace_back(-std::log(uniform(random, i)) / weights[i], static_cast<std::int32_t>(i));
  }
  std::ranges::sort(keys);
  std::vector<std::int32_t> expected;
  for (std::size_t i = 0; i < 40; ++i) expected.push_back(keys[i].second);
  EXPECT_EQ(drawn({.weights = weights, .num_samples = 40, .replacement = false}), expected);
}

TEST(WeightedRandomSampler, NeverDrawsAWeightOfZeroHoweverTheSumsAreRounded) {
  EXPECT_THAT(drawn({.weights = {0, 0, 1e-300, 0}, .num_samples = 1'000}), Each(2));
  EXPECT_THAT(drawn({.weights = {0, 1e300, 1e-300, 0, 0}, .num_samples = 1'000}), Each(1));
}

TEST(WeightedRandomSampler, AllocatesNothingAfterTheFirstEpoch) {
  for (const bool replacement : {true, false}) {
    DataLoader loader(
        counting(50),
        {.batch_size = 10, .sampler = {{.weights = std::vector<double>(50, 1), .num_samples = 40, .replacement = replacement}}});
    loader.start_epoch();
    const std::int64_t before = allocation_count();
    loader.start_epoch();
    EXPECT_EQ(allocation_count(), before);
  }
}

TEST(WeightedRandomSampler, RefusesWhatCannotBeDrawn) {
  const auto draw = [](const WeightedRandomSampler& sampler) { return [=] { DataLoader(counting(3), {.sampler = sampler}); }; };
  EXPECT_THAT(draw({.weights = {1, 2}, .num_samples = 1}), misuse("3 examples need as many weights, got 2"));
  EXPECT_THAT(draw({.weights = {1, -1, 1}, .num_samples = 1}), misuse("finite and >= 0, got -1 for example 1"));
  EXPECT_THAT(draw({.weights = {1, std::nan(""), 1}, .num_samples = 1}), misuse("got nan for example 1"));
  EXPECT_THAT(draw({.weights = {0, 0, 0}, .num_samples = 1}), misuse("sum of the weights must be finite and > 0, got 0"));
  EXPECT_THAT(draw({.weights = {1e308, 1e308, 1e308}, .num_samples = 1}), misuse("got inf"));
  EXPECT_THAT(draw({.weights = {1, 1, 1}}), misuse("num_samples must be from 1 to 2^32 - 1, got 0"));
  EXPECT_THAT(draw({.weights = {1, 0, 1}, .num_samples = 3, .replacement = false}),
              misuse("at most 2, the number of weights > 0, got 3"));
  EXPECT_THAT([] { DataLoader(counting(1), {.shuffle = true, .sampler = {{.weights = {1}, .num_samples = 1}}}); },
              misuse("leave out shuffle"));
}

}  // namespace
}  // namespace gpucnn
