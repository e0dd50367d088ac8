#include <gpucnn/core/memory/memory_plan.h>

#include <memory>
#include <stdexcept>

#include <gtest/gtest.h>

#include <gpucnn/core/tensor.h>

namespace gpucnn {
namespace {

constexpr std::int64_t kFloats = 3000;

TEST(MemoryPlan, UsesItsBlocksAgainAndGivesThemToNobodyElse) {
  MemoryPlan plan(Device::cpu());
  const std::byte* first = nullptr;
  {
    const MemoryPlan::Open open(plan);
    first = Tensor::empty({kFloats}).bytes();
    EXPECT_EQ(Tensor::empty({kFloats}).bytes(), first);
  }
  const Tensor outside = Tensor::empty({kFloats}), another = Tensor::empty({kFloats});
  EXPECT_NE(outside.bytes(), first);
  EXPECT_NE(another.bytes(), first);
  EXPECT_GE(plan.bytes(), kFloats * sizeof(float));
  EXPECT_LT(plan.bytes(), 2 * kFloats * sizeof(float));
}

TEST(MemoryPlan, KeepsABlockWhoseHandleWasLetGoAfterItWasClosed) {
  MemoryPlan plan(Device::cpu());
  Tensor held;
  {
    const MemoryPlan::Open open(plan);
    held = Tensor::empty({kFloats});
  }
  const std::byte* block = held.bytes();
  held = {};
  EXPECT_NE(Tensor::empty({kFloats}).bytes(), block);
  const MemoryPlan::Open again(plan);
  EXPECT_EQ(Tensor::empty({kFloats}).bytes(), block);
}

TEST(MemoryPlan, GivesItsBlocksToTheAllocatorWhenItGoes) {
  empty_cache(Device::cpu());
  const AllocatorStats before = allocator_stats(Device::cpu());
  Tensor outlives;
  auto plan = std::make_unique<MemoryPlan>(Device::cpu());
  {
    const MemoryPlan::Open open(*plan);
    outlives = Tensor::empty({kFloats});
    Tensor::empty({kFloats});
  }
  plan.reset();
  EXPECT_GT(allocator_stats(Device::cpu()).kept, before.kept);
  std::fill_n(outlives.data<float>(), kFloats, 1.0F);  // still this handle's
  outlives = {};
  EXPECT_EQ(allocator_stats(Device::cpu()).in_use, before.in_use);
}

TEST(MemoryPlan, IsForOneDeviceAndOneAtATime) {
  MemoryPlan plan(Device::cuda());
  const MemoryPlan::Open open(plan);
  Tensor::empty({kFloats});
  EXPECT_EQ(plan.bytes(), 0U);
  EXPECT_THROW(MemoryPlan::Open{plan}, std::logic_error);
}

TEST(MemoryPlan, PrefersTheSmallestBlockThatIsLargeEnough) {
  MemoryPlan plan(Device::cpu());
  const MemoryPlan::Open open(plan);
  const std::byte *large = nullptr, *small = nullptr;
  {
    const Tensor a = Tensor::empty({2 * kFloats}), b = Tensor::empty({kFloats});
    large = a.bytes();
    small = b.bytes();
  }
  const Tensor wanted = Tensor::empty({kFloats - 1});
  EXPECT_EQ(wanted.bytes(), small);
  EXPECT_EQ(Tensor::empty({2 * kFloats}).bytes(), large);
}

}  // namespace
}  // namespace gpucnn
