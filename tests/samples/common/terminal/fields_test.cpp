#include "common/terminal/fields.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

const std::vector<Field> kFields{{"epoch 1/2", 5},
                                 {.text = "validation loss 2.3026", .rank = 2, .brief = "val loss 2.3026"},
                                 {.text = "validation accuracy 0.2025", .rank = 7, .brief = "val accuracy 0.2025"},
                                 {"*", 6, " "}};

TEST(FitFields, ShowsAllWhereThereIsRoom) {
  EXPECT_EQ(fit_fields(kFields, 63), "epoch 1/2  validation loss 2.3026  validation accuracy 0.2025 *");
}

TEST(FitFields, ShortensBeforeItLeavesOut) {
  EXPECT_EQ(fit_fields(kFields, 62), "epoch 1/2  val loss 2.3026  val accuracy 0.2025 *");
  EXPECT_EQ(fit_fields(kFields, 49), "epoch 1/2  val loss 2.3026  val accuracy 0.2025 *");
}

TEST(FitFields, LeavesOutTheLowestRankFirst) {
  EXPECT_EQ(fit_fields(kFields, 48), "epoch 1/2  val accuracy 0.2025 *");
  EXPECT_EQ(fit_fields(kFields, 31), "val accuracy 0.2025 *");
  EXPECT_EQ(fit_fields(kFields, 20), "val accuracy 0.2025");
}

TEST(FitFields, KeepsTheEndOfTheLastField) {
  EXPECT_EQ(fit_fields(kFields, 18), "al accuracy 0.2025");
  EXPECT_EQ(fit_fields(kFields, 6), "0.2025");
  EXPECT_EQ(fit_fields({{"epoch 10/12", 0}}, 5), "10/12");
  EXPECT_EQ(fit_fields(kFields, 0), "");
}

TEST(FitFields, OfNoneAreNothing) { EXPECT_EQ(fit_fields({}, 10), ""); }

}  // namespace
