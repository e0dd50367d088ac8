#include <gpucnn/distributed/watch.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpucnn {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// A run of three, as the rank `own` sees it. Every second all but `silent` tell their beats.
class WatchTest : public testing::Test {
 protected:
  static Watch watch_of(int own) { return {own, {"rank 0", "rank 1", "rank 2"}}; }

  std::optional<Watch::Failure> after(int seconds, Watch& watch, int silent = -1) const {
    for (int second = 0; second < seconds; ++second) {
      for (int rank = 0; rank < 3; ++rank) {
        if (rank != silent) watch.hear(rank, beats_[static_cast<std::size_t>(rank)]);
      }
      if (auto failure = watch.judge(1s)) return failure;
    }
    return {};
  }

  std::vector<Beat> beats_{Beat{.begun = 4, .waits_for = 4}, Beat{.begun = 3}, Beat{.begun = 4, .waits_for = 4}};
};

TEST_F(WatchTest, NamesWhoLetsOthersWait) {
  Watch watch = watch_of(0);
  EXPECT_FALSE(after(19, watch));
  const auto failure = after(3, watch);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->rank, 1);
  EXPECT_THAT(failure->sentence, HasSubstr("rank 1 has let rank 0 wait for 20 s"));
}

TEST_F(WatchTest, IsPatientWithWhoMovesOn) {
  Watch watch = watch_of(0);
  for (int step = 0; step < 5; ++step) {
    EXPECT_FALSE(after(15, watch));
    for (Beat& beat : beats_) ++beat.begun;
    beats_[0].waits_for = beats_[2].waits_for = beats_[0].begun;
  }
}

TEST_F(WatchTest, WaitsForALongTask) {
  Watch watch = watch_of(0);
  beats_[1].state = Beat::State::in_long_task;
  EXPECT_FALSE(after(1000, watch));
  beats_[1].state = Beat::State::at_work;
  EXPECT_FALSE(after(19, watch)) << "from here on it counts anew";
  EXPECT_TRUE(after(3, watch));
}

TEST_F(WatchTest, WaitsForWhoWorksWhileNobodyWaits) {
  Watch watch = watch_of(0);
  for (Beat& beat : beats_) beat.waits_for = 0;
  EXPECT_FALSE(after(1000, watch));
}

TEST_F(WatchTest, NamesWhoIsSilent) {
  Watch watch = watch_of(0);
  beats_[1] = beats_[0];
  const auto failure = after(30, watch, 2);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->rank, 2);
  EXPECT_THAT(failure->sentence, HasSubstr("rank 2 has not answered rank 0 for 20 s"));
}

TEST_F(WatchTest, OfAnotherRankSeesRank0Alone) {
  Watch watch = watch_of(2);
  EXPECT_FALSE(after(1000, watch, 1));
  const auto failure = after(30, watch, 0);
  ASSERT_TRUE(failure);
  EXPECT_THAT(failure->sentence, HasSubstr("rank 0 has not answered rank 2"));
}

TEST_F(WatchTest, NamesAtOnceWhoHasEnded) {
  Watch watch = watch_of(0);
  beats_[1].state = Beat::State::ended;
  const auto failure = after(1, watch);
  ASSERT_TRUE(failure);
  EXPECT_TRUE(failure->ended);
  EXPECT_THAT(failure->sentence, HasSubstr("rank 1 has ended, and rank 0 waits for it in vain"));
}

TEST_F(WatchTest, IsSilentWhereARankHasSaidWhyItEnds) {
  Watch watch = watch_of(0);
  beats_[1].state = Beat::State::explained;
  const auto failure = after(1, watch);
  ASSERT_TRUE(failure);
  EXPECT_TRUE(failure->ended);
  EXPECT_EQ(failure->rank, 1);
  EXPECT_EQ(failure->sentence, "");
}

TEST_F(WatchTest, NamesAtOnceWhoCallsAnotherCollective) {
  Watch watch = watch_of(0);
  beats_[1] = {.begun = 4, .waits_for = 4, .count = 7};
  const auto failure = after(1, watch);
  ASSERT_TRUE(failure);
  EXPECT_THAT(failure->sentence, HasSubstr("rank 1 makes another call than rank 0, or one of 7 values instead of 0"));
}

TEST_F(WatchTest, NamesWhoWentOnFromACallThatTheOthersWaitFor) {
  // The root of a broadcast may have ended it, and its program, while another rank waits in a gather.
  Watch watch = watch_of(0);
  beats_ = {Beat{.begun = 6, .state = Beat::State::ended}, Beat{.begun = 4, .waits_for = 4}, Beat{.begun = 4, .waits_for = 4}};
  EXPECT_FALSE(after(19, watch));
  const auto failure = after(3, watch);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->rank, 0);
  EXPECT_THAT(failure->sentence, HasSubstr("rank 1 has waited 20 s for a call that all ranks have begun, while rank 0 went on"));
}

TEST_F(WatchTest, WaitsForCallsThatEndOneAfterTheOther) {
  Watch watch = watch_of(0);
  for (int step = 4; step < 10; ++step) {
    for (Beat& beat : beats_) beat = {.begun = step, .waits_for = step};
    EXPECT_FALSE(after(15, watch));
  }
}

TEST_F(WatchTest, FailsNobodyForHisTimeWithoutALimit) {
  Watch watch(0, {"rank 0", "rank 1", "rank 2"}, 0s);
  EXPECT_FALSE(after(1000, watch, 2));
}

}  // namespace
}  // namespace gpucnn
