#include <gpucnn/core/random_uniforms.h>

#include <algorithm>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "everywhere.h"

namespace gpucnn {
namespace {

using Words = std::array<std::uint32_t, 4>;

// The known answers that come with the authors' Random123 library.
TEST(Philox, GivesTheKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, PutsElementStepIndexAndPurposeWhereItsContractSays) {
  const RandomStream random(0x1122334455667788, Purpose::dropout, 5, 0x123456789a);
  const std::uint64_t e = (std::uint64_t{1} << 40) + 3;
  EXPECT_EQ(random.word(e), philox4x32({0, 1U << 6, 0x3456789a, 0x12U << 16 | 5U << 4 | 2U}, {0x55667788, 0x11223344})[3]);
}

TEST(RandomStream, DiffersBySeedPurposeIndexStepAndElement) {
  const std::set<std::uint32_t> words{RandomStream(1, Purpose::dropout).word(0),       RandomStream(2, Purpose::dropout).word(0),
                                      RandomStream(1, Purpose::shuffle).word(0),       RandomStream(1, Purpose::dropout, 1).word(0),
                                      RandomStream(1, Purpose::dropout, 0, 1).word(0), RandomStream(1, Purpose::dropout).word(1)};
  EXPECT_EQ(words.size(), 6U);
}

TEST(RandomStream, MovesToAnotherStepAndKeepsTheRest) {
  const std::uint64_t from = 0xABCDEF0123456789 & ((std::uint64_t{1} << 48) - 1), to = (std::uint64_t{1} << 47) + 6;
  const RandomStream moved = RandomStream(0x1122334455667788, Purpose::crop, 0xFFF, from).at(to);
  const RandomStream made(0x1122334455667788, Purpose::crop, 0xFFF, to);
  EXPECT_EQ(moved.key(), made.key());
  EXPECT_EQ(moved.counter2(), made.counter2());
  EXPECT_EQ(moved.counter3(), made.counter3());
}

TEST(RandomStream, WithoutItsFirstElementsItGoesOnWithTheNext) {
  const RandomStream whole(0x1122334455667788, Purpose::dropout, 3, 5);
  for (const std::uint64_t first : {0ULL, 1ULL, 2ULL, 3ULL, 4ULL, 7ULL, 1000ULL, (1ULL << 40) + 6}) {
    const RandomStream rest = whole.without_first(first), in_two = whole.without_first(1).without_first(first);
    for (std::uint64_t e = 0; e < 13; ++e) {
      EXPECT_EQ(rest.word(e), whole.word(first + e)) << first << " " << e;
      EXPECT_EQ(rest.block(e / 4)[e % 4], whole.word(first + e)) << first << " " << e;
      EXPECT_EQ(in_two.word(e), whole.word(first + 1 + e)) << first << " " << e;
    }
    EXPECT_EQ(rest.at(9).word(2), whole.at(9).word(first + 2));
  }
}

TEST(RandomStream, UniformIsInZeroToOneAndEven) {
  const RandomStream random(7, Purpose::normal);
  double sum = 0;
  for (std::uint64_t e = 0; e < 100'000; ++e) {
    const float u = random.uniform(e);
    ASSERT_GE(u, 0.0F);
    ASSERT_LT(u, 1.0F);
    sum += static_cast<double>(u);
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.005);
  EXPECT_LT(RandomStream::to_uniform(~0U), 1.0F);
}

TEST(RandomStream, BelowReachesEveryValueAndNoOther) {
  const RandomStream random(7, Purpose::crop);
  std::set<std::uint32_t> seen;
  for (std::uint64_t e = 0; e < 1000; ++e) seen.insert(random.below(e, 9));
  EXPECT_EQ(seen.size(), 9U);
  EXPECT_EQ(*seen.rbegin(), 8U);
}

TEST(RandomUniforms, AreTheStreamsWordsInOrderOnAnyNumberOfThreads) {
  const RandomStream random(7, Purpose::weights, 3);
  for (const int threads : {1, 2, 5}) {
    const ForcedThreads several(threads);
    for (const std::int64_t count : {0, 1, 4, 7, 16383, 16384, 40001}) {
      std::vector<float> values(static_cast<std::size_t>(count + 3) / 4 * 4, -1.0F);
      random_uniforms(random, count, [&values](std::int64_t e, const std::array<float, 4>& uniform) {
        std::ranges::copy(uniform, values.begin() + e);
      });
      for (std::size_t e = 0; e < values.size(); ++e) ASSERT_EQ(values[e], random.uniform(e)) << e << " of " << count;
    }
  }
}

}  // namespace
}  // namespace gpucnn
