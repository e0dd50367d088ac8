#include <gpucnn/data/sampling/random_split.h>

#include <cmath>
#include <limits>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/random.h>

#include "data/sampling/counting.h"
#include "misuse.h"

namespace gpucnn {
namespace {

using ::testing::ElementsAre;

std::vector<std::int64_t> sizes_of(const std::vector<Subset>& parts) {
  std::vector<std::int64_t> sizes;
  for (const Subset& part : parts) sizes.push_back(part.size());
  return sizes;
}

std::vector<std::int64_t> all_indices(const std::vector<Subset>& parts) {
  std::vector<std::int64_t> all;
  for (const Subset& part : parts) all.insert(all.end(), part.indices().begin(), part.indices().end());
  return all;
}

TEST(RandomSplit, GivesEveryExampleToOnePartInTheShuffledOrder) {
  const std::vector<Subset> parts = random_split(counting(100), {70, 0, 30}, 5);
  EXPECT_THAT(sizes_of(parts), ElementsAre(70, 0, 30));
  std::vector<std::int64_t> expected(100);
  std::iota(expected.begin(), expected.end(), 0);
  const RandomStream random(5, Purpose::shuffle, 1);
  for (std::uint32_t i = 99; i > 0; --i) std::swap(expected[i], expected[random.below(i, i + 1)]);
  EXPECT_EQ(all_indices(parts), expected);
}

TEST(RandomSplit, DependsOnTheSeedAlone) {
  const auto split = [](std::uint64_t seed) { return all_indices(random_split(counting(50), {25, 25}, seed)); };
  EXPECT_EQ(split(1), split(1));
  EXPECT_NE(split(1), split(2));
}

TEST(RandomSplit, DoesNotFollowTheOrderOfAnEpoch) {
  DataLoader loader(counting(50), {.shuffle = true, .seed = 3});
  loader.start_epoch();
  const std::vector<std::int64_t> order(loader.order().begin(), loader.order().end());
  EXPECT_NE(all_indices(random_split(counting(50), {50}, 3)), order);
}

// What torch.utils.data.random_split gives.
TEST(RandomSplit, GivesTheRemainderOfFractionsToTheFirstPartsInTurn) {
  EXPECT_THAT(sizes_of(random_split_fractions(counting(10), {0.9, 0.1})), ElementsAre(9, 1));
  EXPECT_THAT(sizes_of(random_split_fractions(counting(11), {0.5, 0.25, 0.25})), ElementsAre(6, 3, 2));
  EXPECT_THAT(sizes_of(random_split_fractions(counting(2), {0.25, 0.25, 0.25, 0.25})), ElementsAre(1, 1, 0, 0));
  EXPECT_THAT(sizes_of(random_split_fractions(counting(17), {0.1, 0.2, 0.7})), ElementsAre(2, 4, 11));
  EXPECT_THAT(sizes_of(random_split_fractions(counting(0), {0.5, 0.5})), ElementsAre(0, 0));
}

TEST(RandomSplit, OfASubsetRefersToTheDatasetBelow) {
  const std::vector<Subset> parts = random_split(Subset(counting(10), {9, 8, 7}), {3});
  EXPECT_THAT(all_indices(parts), ::testing::UnorderedElementsAre(9, 8, 7));
}

TEST(RandomSplit, RefusesLengthsAndFractionsThatDoNotAddUp) {
  EXPECT_THAT([] { random_split(counting(10), {5, 4}); }, misuse("add up to the dataset's size, 10, got [5, 4]"));
  EXPECT_THAT([] { random_split(counting(10), {11, -1}); }, misuse("got [11, -1]"));
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_THAT([] { random_split(counting(10), {kMost, kMost, 12}); }, misuse("add up to"));
  EXPECT_THAT([] { random_split(counting(10), {}); }, misuse("got []"));
  EXPECT_THAT([] { random_split_fractions(counting(10), {0.5, 0.4}); }, misuse("add up to 1, got [0.5, 0.4]"));
  EXPECT_THAT([] { random_split_fractions(counting(10), {1.5, -0.5}); }, misuse("from 0 to 1"));
  EXPECT_THAT([] { random_split_fractions(counting(10), {std::nan(""), 1}); }, misuse("from 0 to 1"));
  EXPECT_THAT([] { random_split(std::shared_ptr<const Dataset>(), {1}); }, misuse("there is no dataset"));
}

}  // namespace
}  // namespace gpucnn
