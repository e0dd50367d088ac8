#include "train_cifar/tasks/rate_search.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

namespace {

TEST(RateSearch, RaisesTheRateByOneFactor) {
  RateSearch search(9);
  EXPECT_DOUBLE_EQ(search.rate(), RateSearch::kMinRate);
  for (int i = 0; i < 8; ++i) {
    const double before = search.rate();
    EXPECT_TRUE(search.add(1));
    EXPECT_NEAR(search.rate() / before, 10, 1e-9);
  }
  EXPECT_NEAR(search.rate(), RateSearch::kMaxRate, 1e-9);
  EXPECT_FALSE(search.add(1));
}

TEST(RateSearch, SuggestsTheRateAtWhichTheLossFallsFastest) {
  RateSearch search(200);
  while (search.add(1 + 1 / (1 + std::pow(search.rate() / 1e-3, 2)))) {  // half of the fall is behind 1e-3
  }
  EXPECT_GT(search.suggestion(), 0.8e-3);
  EXPECT_LT(search.suggestion(), 8e-3);  // the average is some steps behind
  EXPECT_EQ(search.trials().size(), 200U);
}

TEST(RateSearch, EndsWhereTheLossIsFarAboveItsLeast) {
  RateSearch search(200);
  while (search.add(search.rate() < 0.1 ? 2 - std::min(1.0, search.rate() * 100) : 50)) {
  }
  EXPECT_GT(search.trials().back().lr, 0.1);
  EXPECT_LT(search.trials().back().lr, 0.3);
  EXPECT_LT(search.suggestion(), 0.1);
}

TEST(RateSearch, DoesNotTakeARecoveryForAFall) {
  RateSearch search(200);
  while (search.add(search.rate() < 0.1 ? 2 - std::min(1.0, search.rate() * 100) : search.rate() < 0.3 ? 3.5 : 1.2)) {
  }
  EXPECT_LT(search.suggestion(), 0.1);
}

TEST(RateSearch, SuggestsNoneWhereTheLossNeverFalls) {
  RateSearch search(50);
  double loss = 1;
  while (search.add(loss *= 1.01)) {
  }
  EXPECT_EQ(search.suggestion(), 0);
}

}  // namespace
