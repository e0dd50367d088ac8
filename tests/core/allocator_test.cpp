#include <gpucnn/core/allocator.h>

#include <cstring>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>

namespace gpucnn {
namespace {

constexpr Device kCpu = Device::cpu();
constexpr std::size_t kAbsurd = std::size_t{1} << 50;  // bytes

TEST(Allocator, AlignsEveryBlockForTheWidestVector) {
  for (const std::size_t bytes : {0, 1, 511, 512, 513, 1000, 4097, 3'000'000}) {
    const StoragePtr block = allocate_storage(bytes, kCpu);
    EXPECT_GE(block->capacity, bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block->data) % 64, 0U) << bytes;
    EXPECT_EQ(block->device, kCpu);
    std::memset(block->data, 1, bytes);
  }
}

TEST(Allocator, WastesAtMostAnEighth) {
  for (std::size_t bytes = 512; bytes < 5'000'000; bytes = bytes * 17 / 16 + 1) {
    const std::size_t capacity = allocate_storage(bytes, kCpu)->capacity;
    EXPECT_LE(static_cast<double>(capacity), 1.125 * static_cast<double>(bytes)) << bytes;
  }
}

TEST(Allocator, HandsAFreedBlockOutAgainWithoutAskingTheSystem) {
  for (const std::size_t bytes : {1, 512, 513, 65'536, 65'537, 1'000'000}) {
    std::byte* const first = allocate_storage(bytes, kCpu)->data;
    const std::uint64_t asked = allocator_stats(kCpu).system_allocations;
    EXPECT_EQ(allocate_storage(bytes, kCpu)->data, first) << bytes;
    EXPECT_EQ(allocator_stats(kCpu).system_allocations, asked) << bytes;
  }
}

TEST(Allocator, KeepsABlockWhileAnyHandleLives) {
  StoragePtr first = allocate_storage(100'000, kCpu);
  StoragePtr second = first;
  EXPECT_EQ(first->uses, 2);
  std::byte* const data = first->data;
  first = {};
  EXPECT_EQ(second->uses, 1);
  EXPECT_NE(allocate_storage(100'000, kCpu)->data, data);
  StoragePtr third = std::move(second);
  EXPECT_FALSE(second);  // NOLINT: what a move leaves is part of the contract
  EXPECT_EQ(third->uses, 1);
  third = *&third;
  EXPECT_EQ(third->uses, 1);
}

TEST(Allocator, CountsWhatIsInUseAndKept) {
  empty_cache(kCpu);
  const AllocatorStats before = allocator_stats(kCpu);
  EXPECT_EQ(before.kept, 0U);
  StoragePtr block = allocate_storage(1 << 20, kCpu);
  const AllocatorStats during = allocator_stats(kCpu);
  EXPECT_EQ(during.in_use - before.in_use, block->capacity);
  EXPECT_EQ(during.system_allocations - before.system_allocations, 1U);
  const std::size_t capacity = block->capacity;
  block = {};
  const AllocatorStats after = allocator_stats(kCpu);
  EXPECT_EQ(after.in_use, before.in_use);
  EXPECT_EQ(after.kept, capacity);
  empty_cache(kCpu);
  EXPECT_EQ(allocator_stats(kCpu).kept, 0U);
}

TEST(Allocator, RefusesWhatTheDeviceCannotHoldAndGoesOn) {
  const StoragePtr held = allocate_storage(1 << 20, kCpu);
  const AllocatorStats before = allocator_stats(kCpu);
  for (const std::size_t bytes : {kAbsurd, ~std::size_t{0}}) {
    try {
      allocate_storage(bytes, kCpu);
      FAIL() << "there are " << bytes << " bytes";
    } catch (const OutOfMemory& error) {
      EXPECT_GE(error.asked(), bytes);
      EXPECT_LT(error.free(), bytes);
      EXPECT_GE(error.held(), held->capacity);
    }
  }
  const AllocatorStats after = allocator_stats(kCpu);
  EXPECT_EQ(after.in_use, before.in_use);
  EXPECT_EQ(after.system_allocations, before.system_allocations);
  EXPECT_NO_THROW(allocate_storage(1 << 20, kCpu));
}

TEST(Allocator, ServesSeveralThreads) {
  const std::uint64_t in_use = allocator_stats(kCpu).in_use;
  std::vector<std::thread> threads;
  std::atomic<int> torn{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &torn] {
      std::vector<StoragePtr> blocks(8);
      for (std::size_t round = 0; round < 2000; ++round) {
        StoragePtr& block = blocks[round % blocks.size()];
        block = allocate_storage(600 + round % 3 * 700, kCpu);
        std::memset(block->data, t, 600);
        const StoragePtr other = blocks[round * 7 % blocks.size()];
        if (other && (other->data[0] != std::byte(t) || other->data[599] != std::byte(t))) ++torn;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(allocator_stats(kCpu).in_use, in_use);
}

}  // namespace
}  // namespace gpucnn
