#include <gmock/gmock.h>
#include <gpucnn/core/error.h>
#include <gtest/gtest.h>

#include <array>
#include <numeric>

#include "distributed/world.h"

namespace gpucnn {
namespace {

using testing::HasSubstr;

int sum_of_ranks() { return world().size() * (world().size() - 1) / 2; }

TEST(Collectives, PlaceTheRanks) {
  EXPECT_GE(world().rank(), 0);
  EXPECT_LT(world().rank(), world().size());
  EXPECT_EQ(world().local_size(), world().size()) << "all are on this machine";
  EXPECT_EQ(world().local_rank(), world().rank());
  EXPECT_EQ(world().is_main(), world().rank() == 0);
}

TEST(Collectives, SumTensors) {
  Tensor values = Tensor::full({3, 5, 7, 2}, static_cast<float>(world().rank()) + 0.5F);
  world().all_reduce(values);
  EXPECT_THAT(values.to_vector<float>(),
              testing::Each(static_cast<float>(sum_of_ranks()) + 0.5F * static_cast<float>(world().size())));
}

TEST(Collectives, FindTheLargestAndTheSmallest) {
  Tensor values = Tensor::full({4}, static_cast<float>(world().rank()));
  world().all_reduce(values, Reduce::max);
  EXPECT_THAT(values.to_vector<float>(), testing::Each(static_cast<float>(world().size() - 1)));
  std::array<std::int64_t, 2> numbers{world().rank(), -world().rank()};
  world().all_reduce(numbers, Reduce::min);
  EXPECT_EQ(numbers[0], 0);
  EXPECT_EQ(numbers[1], 1 - world().size());
}

TEST(Collectives, SumHostValues) {
  std::array<double, 2> values{1.0 / 3, static_cast<double>(world().rank())};
  world().all_reduce(values);
  EXPECT_DOUBLE_EQ(values[0], world().size() / 3.0);
  EXPECT_EQ(values[1], sum_of_ranks());
}

TEST(Collectives, TakeNothing) {
  Tensor none = Tensor::empty({0});
  world().all_reduce(none);
  world().broadcast(none);
  EXPECT_EQ(world().broadcast("", 0), "");
  EXPECT_THAT(world().all_gather(""), testing::Each(""));
}

TEST(Collectives, BroadcastTensorsOfAnyDType) {
  const int root = world().size() - 1;
  Tensor bytes = Tensor::from(std::vector<std::uint8_t>(9, static_cast<std::uint8_t>(world().rank())), {9});
  world().broadcast(bytes, root);
  EXPECT_THAT(bytes.to_vector<std::uint8_t>(), testing::Each(root));
}

TEST(Collectives, BroadcastAndGatherTexts) {
  const auto text_of = [](int rank) { return std::string(static_cast<std::size_t>(3 * rank), 'a') + std::to_string(rank); };
  EXPECT_EQ(world().broadcast(text_of(world().rank()), world().size() - 1), text_of(world().size() - 1));
  const std::vector<std::string> all = world().all_gather(text_of(world().rank()));
  ASSERT_EQ(all.size(), static_cast<std::size_t>(world().size()));
  for (int rank = 0; rank < world().size(); ++rank) EXPECT_EQ(all[static_cast<std::size_t>(rank)], text_of(rank));
}

TEST(Collectives, GoOnBesideOtherWork) {
  constexpr int kTensors = 20;
  std::vector<Tensor> tensors;
  std::vector<Distributed::Pending> pending;
  std::array<double, 1> loss{1};
  for (int i = 0; i < kTensors; ++i) {
    tensors.push_back(Tensor::full({1 << i % 17}, static_cast<float>(i)));
    pending.push_back(world().begin_all_reduce(tensors.back()));
    if (i == kTensors / 2) pending.push_back(world().begin_all_reduce(loss));
  }
  world().barrier();  // behind them all
  for (auto& one : pending) one.wait();
  EXPECT_EQ(loss[0], world().size());
  for (int i = 0; i < kTensors; ++i) {
    EXPECT_THAT(tensors[static_cast<std::size_t>(i)].to_vector<float>(), testing::Each(static_cast<float>(i * world().size())));
  }
}

TEST(Collectives, NameTheRankThatDiffers) {
  EXPECT_NO_THROW(world().require_same("option --batch-size", "128"));
  if (world().size() == 1) return;
  const int odd = world().size() - 1;
  try {
    world().require_same("option --batch-size", world().rank() == odd ? "64" : "128");
    FAIL() << "no rank may pass";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("another option --batch-size"));
    EXPECT_THAT(error.what(), HasSubstr("rank " + std::to_string(odd)));
  }
}

TEST(Collectives, QuoteLongValuesWhereTheyDiffer) {
  if (world().size() == 1) return;
  const std::string same(100, 'a');
  try {
    world().require_same("list of classes", same + (world().is_main() ? "cat" : "dog"));
    FAIL() << "no rank may pass";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("\"..." + std::string(20, 'a') + "cat\""));
    EXPECT_THAT(error.what(), HasSubstr("\"..." + std::string(20, 'a') + "dog\""));
  }
}

}  // namespace
}  // namespace gpucnn
