#include <gpucnn/core/memory/allocator.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>

#include "device_test.h"

extern "C" __attribute__((weak)) void __asan_init();  // there where the library is instrumented

namespace gpucnn {
namespace {

constexpr std::size_t kAbsurd = std::size_t{1} << 50;  // bytes

class AllocatorTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, AllocatorTest, devices(), device_name);

TEST_P(AllocatorTest, AlignsEveryBlockForTheWidestVector) {
  for (const std::size_t bytes : {0, 1, 511, 512, 513, 1000, 4097, 3'000'000}) {
    const StoragePtr block = allocate_storage(bytes, device());
    EXPECT_GE(block->capacity, bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block->data) % 64, 0U) << bytes;
    EXPECT_EQ(block->device, device());
    if (device() == Device::cpu()) std::memset(block->data, 1, bytes);
  }
}

TEST_P(AllocatorTest, WastesAtMostAnEighth) {
  for (std::size_t bytes = 512; bytes < 5'000'000; bytes = bytes * 17 / 16 + 1) {
    const std::size_t capacity = allocate_storage(bytes, device())->capacity;
    EXPECT_LE(static_cast<double>(capacity), 1.125 * static_cast<double>(bytes)) << bytes;
  }
}

TEST_P(AllocatorTest, HandsAFreedBlockOutAgainWithoutAskingTheSystem) {
  for (const std::size_t bytes : {1, 512, 513, 65'536, 65'537, 1'000'000}) {
    std::byte* const first = allocate_storage(bytes, device())->data;
    const std::uint64_t asked = allocator_stats(device()).system_allocations;
    EXPECT_EQ(allocate_storage(bytes, device())->data, first) << bytes;
    EXPECT_EQ(allocator_stats(device()).system_allocations, asked) << bytes;
  }
}

TEST_P(AllocatorTest, KeepsABlockWhileAnyHandleLives) {
  StoragePtr first = allocate_storage(100'000, device());
  StoragePtr second = first;
  EXPECT_EQ(first->uses, 2);
  std::byte* const data = first->data;
  first = {};
  EXPECT_EQ(second->uses, 1);
  EXPECT_NE(allocate_storage(100'000, device())->data, data);
  StoragePtr third = std::move(second);
  EXPECT_FALSE(second);  // NOLINT: what a move leaves is part of the contract
  EXPECT_EQ(third->uses, 1);
  third = *&third;
  EXPECT_EQ(third->uses, 1);
}

TEST_P(AllocatorTest, CountsWhatIsInUseAndKept) {
  empty_cache(device());
  const AllocatorStats before = allocator_stats(device());
  EXPECT_EQ(before.kept, 0U);
  StoragePtr block = allocate_storage(1 << 20, device());
  const AllocatorStats during = allocator_stats(device());
  EXPECT_EQ(during.in_use - before.in_use, block->capacity);
  EXPECT_EQ(during.system_allocations - before.system_allocations, 1U);
  const std::size_t capacity = block->capacity;
  block = {};
  const AllocatorStats after = allocator_stats(device());
  EXPECT_EQ(after.in_use, before.in_use);
  EXPECT_EQ(after.kept, capacity);
  empty_cache(device());
  EXPECT_EQ(allocator_stats(device()).kept, 0U);
}

TEST_P(AllocatorTest, RefusesWhatTheDeviceCannotHoldAndGoesOn) {
  const StoragePtr held = allocate_storage(1 << 20, device());
  const AllocatorStats before = allocator_stats(device());
  for (const std::size_t bytes : {kAbsurd, ~std::size_t{0}}) {
    try {
      allocate_storage(bytes, device());
      FAIL() << "there are " << bytes << " bytes";
    } catch (const OutOfMemory& error) {
      EXPECT_GE(error.asked(), bytes);
      EXPECT_LT(error.free(), bytes);
      EXPECT_GE(error.held(), held->capacity);
    }
  }
  const AllocatorStats after = allocator_stats(device());
  EXPECT_EQ(after.in_use, before.in_use);
  EXPECT_EQ(after.system_allocations, before.system_allocations);
  EXPECT_NO_THROW(allocate_storage(1 << 20, device()));
}

TEST(Allocator, ServesSeveralThreads) {
  const std::uint64_t in_use = allocator_stats(Device::cpu()).in_use;
  std::vector<std::thread> threads;
  std::atomic<int> torn{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &torn] {
      std::vector<StoragePtr> blocks(8);
      for (std::size_t round = 0; round < 2000; ++round) {
        StoragePtr& block = blocks[round % blocks.size()];
        block = allocate_storage(600 + round % 3 * 700, Device::cpu());
        std::memset(block->data, t, 600);
        const StoragePtr other = blocks[round * 7 % blocks.size()];
        if (other && (other->data[0] != std::byte(t) || other->data[599] != std::byte(t))) ++torn;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(allocator_stats(Device::cpu()).in_use, in_use);
}

TEST(Allocator, ServesAForkedChildWhateverOtherThreadsDo) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer does not follow a fork amid other threads' locks";
#endif
  // AddressSanitizer's own heap is locked by whichever thread is in it, and stays so in the child.
  if (__asan_init) GTEST_SKIP() << "AddressSanitizer does not, either";
  std::atomic<bool> ended{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&ended] {
      while (!ended) allocate_storage(100, Device::cpu());
    });
  }
  int wrong = 0;
  for (int i = 0; i < 200 && wrong == 0; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);  // a hang ends it
      allocate_storage(100, Device::cpu());
      _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) ++wrong;
  }
  ended = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace gpucnn
