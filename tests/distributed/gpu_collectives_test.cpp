#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/stream.h>

#include "distributed/gpu_world.h"

namespace gpucnn {
namespace {

using testing::Each;
using testing::ElementsAre;

using GpuCollectives = GpuRanks;

float number() { return static_cast<float>(world().rank() + 1); }
int ranks() { return world().size(); }

TEST_F(GpuCollectives, EachHasAGpuOfItsOwn) { EXPECT_EQ(device.index, world().local_rank()); }

TEST_F(GpuCollectives, ReduceTensors) {
  Tensor values = Tensor::full({2, 3, 4, 5}, number(), device);
  world().all_reduce(values);
  EXPECT_THAT(values.to_vector<float>(), Each(static_cast<float>(ranks() * (ranks() + 1)) / 2));
  values = Tensor::full({7}, number(), device);
  world().all_reduce(values, Reduce::max);
  EXPECT_THAT(values.to_vector<float>(), Each(static_cast<float>(ranks())));
  Tensor numbers = Tensor::from(std::vector<std::int64_t>{world().rank(), -world().rank()}, {2}, device);
  world().all_reduce(numbers, Reduce::min);
  EXPECT_THAT(numbers.to_vector<std::int64_t>(), ElementsAre(0, 1 - ranks()));
}

TEST_F(GpuCollectives, BroadcastTensors) {
  Tensor values = Tensor::full({3, 5}, number(), device);
  world().broadcast(values, ranks() - 1);
  EXPECT_THAT(values.to_vector<float>(), Each(static_cast<float>(ranks())));
}

TEST_F(GpuCollectives, GoOnBesideOtherWork) {
  Tensor first = Tensor::full({1000}, number(), device), second = Tensor::full({10}, 10 * number(), device);
  Distributed::Pending of_first = world().begin_all_reduce(first), of_second = world().begin_all_reduce(second);
  Tensor other = Tensor::full({4}, number(), device);
  of_first.wait();
  of_second.wait();
  const auto sum = static_cast<float>(ranks() * (ranks() + 1)) / 2;
  EXPECT_THAT(first.to_vector<float>(), Each(sum));
  EXPECT_THAT(second.to_vector<float>(), Each(10 * sum));
  EXPECT_THAT(other.to_vector<float>(), Each(number()));
}

TEST_F(GpuCollectives, TakeTheOrderOfTheQueue) {
  Tensor values = Tensor::full({100}, 0, device);
  for (int i = 0; i < 5; ++i) {
    values.copy_from(Tensor::full({100}, static_cast<float>(i) + number(), device));
    world().all_reduce(values);
    const Tensor kept = values.clone();
    values.copy_from(Tensor::full({100}, -1, device));
    EXPECT_THAT(kept.to_vector<float>(), Each(static_cast<float>(ranks() * i) + static_cast<float>(ranks() * (ranks() + 1)) / 2));
  }
}

TEST_F(GpuCollectives, RefuseTheTensorsOfAnotherGpu) {
  Tensor values = Tensor::full({1}, number(), device);
  world().all_reduce(values);
  const Device other = Device::cuda(device.index == 0 ? 1 : 0);
  Tensor there = Tensor::full({1}, 1, other);
  EXPECT_THAT([&] { world().all_reduce(there); },
              testing::ThrowsMessage<std::invalid_argument>(testing::StartsWith("this rank reaches")));
}

// With a stand-in that has too little, on two ranks.

TEST(OneGpu, IsTooFewForTwoRanks) {
  EXPECT_THAT([] { world().gpu(); },
              testing::ThrowsMessage<DeviceError>(
                  "rank 1 has no GPU of its own and would share rank 0's: there is 1 GPU for 2 ranks on one machine"));
}

TEST(OldNccl, IsRefusedOnEveryRank) {
  Tensor values = Tensor::full({1}, 1, world().gpu());
  EXPECT_THAT([&] { world().all_reduce(values); }, testing::ThrowsMessage<DeviceError>(testing::AllOf(
                                                       testing::StartsWith("rank 0 cannot reach the other ranks' GPUs: NCCL 2.8 ("),
                                                       testing::EndsWith(") is older than 2.14, which libgpucnn needs"))));
}

}  // namespace
}  // namespace gpucnn
