#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/gpu/warp/async_copy.h>

#include "standins/device_memory.h"

// What the PTX ISA says of cp.async, asked of the emulator.
namespace gpucnn {
namespace {

using testing::Each;
using testing::ElementsAre;

constexpr unsigned kNan = 0xFFFFFFFF;  // what nobody has written

const Stream& stream() {
  static const Stream the(Device::cuda());
  return the;
}

template <int kBytes>
__global__ void copy_kernel(const unsigned char* x, unsigned char* y, bool all) {
  auto* memory = dynamic_shared<unsigned char>();
  const unsigned i = threadIdx.x * kBytes;  // thread n copies n bytes
  if (all) {
    warp::async_copy<kBytes>(memory + i, x + i);
  } else {
    warp::async_copy<kBytes>(memory + i, x + i, static_cast<int>(threadIdx.x));
  }
  warp::async_copy_commit();
  warp::async_copy_wait<0>();
  for (unsigned k = 0; k < kBytes; ++k) y[i + k] = memory[i + k];
}

template <int kBytes>
void expect_copies() {
  constexpr unsigned kThreads = kBytes + 1;
  std::vector<unsigned char> x, some;
  for (unsigned i = 0; i < kThreads * kBytes; ++i) {
    x.push_back(static_cast<unsigned char>(i * 7 + 1));
    some.push_back(i % kBytes < i / kBytes ? x.back() : static_cast<unsigned char>(0));
  }
  const DeviceMemory<unsigned char> from(x), to(x.size());
  for (const bool all : {true, false}) {
    launch(stream(), "copy", {1, kThreads, x.size()}, copy_kernel<kBytes>, from.data(), to.data(), all);
    EXPECT_EQ(to.values(), all ? x : some) << kBytes;
  }
}

TEST(EmulatedAsyncCopy, CopiesAndFillsWithZeros) {
  expect_copies<4>();
  expect_copies<8>();
  expect_copies<16>();
}

__global__ void groups_kernel(const unsigned* x, unsigned* y) {
  GPUCNN_SHARED(unsigned, memory, 4);
  const auto look = [&](int time) {
    for (int i = 0; i < 4; ++i) y[4 * time + i] = memory[i];
  };
  for (int i = 0; i < 3; ++i) {
    warp::async_copy<4>(&memory[i], &x[i]);
    if (i < 2) warp::async_copy_commit();
  }
  look(0);  // before any wait
  warp::async_copy_wait<1>();
  look(1);
  warp::async_copy_wait<0>();
  look(2);  // the third is of no group yet
  warp::async_copy_commit();
  warp::async_copy_commit();  // an empty group counts
  warp::async_copy_wait<1>();
  look(3);
}

TEST(EmulatedAsyncCopy, IsMadeAtTheWaitAndNotBefore) {
  const DeviceMemory<unsigned> x({1, 2, 3, 4}), y(16);
  launch(stream(), "groups", {1, 1}, groups_kernel, x.data(), y.data());
  EXPECT_THAT(y.values(), ElementsAre(kNan, kNan, kNan, kNan,  //
                                      1, kNan, kNan, kNan,     //
                                      1, 2, kNan, kNan,        //
                                      1, 2, 3, kNan));
}

__global__ void reuse_kernel(const unsigned* x, unsigned* y) {
  GPUCNN_SHARED(unsigned, memory, 32);
  memory[threadIdx.x] = 5;
  warp::async_copy<4>(&memory[threadIdx.x], &x[threadIdx.x]);
  warp::async_copy_commit();
  y[threadIdx.x] = memory[threadIdx.x];
  warp::async_copy_wait<0>();
}

TEST(EmulatedAsyncCopy, OldValuesAreGoneWhenItIsAskedFor) {
  const DeviceMemory<unsigned> x(std::vector<unsigned>(32, 1)), y(32);
  launch(stream(), "reuse", {1, 32}, reuse_kernel, x.data(), y.data());
  EXPECT_THAT(y.values(), Each(kNan));
}

enum class Misuse { to_unaligned, from_unaligned, too_long, negative, to_global, beyond, from_shared, no_wait, no_commit, changed };

__global__ void misuse_kernel(Misuse misuse, unsigned* x, unsigned* y) {
  GPUCNN_SHARED(unsigned, memory, 15);
  memory[0] = 0;
  if (threadIdx.x == 1) {
    unsigned* to = memory + 4;
    const unsigned* from = x;
    int bytes = 16;
    if (misuse == Misuse::to_unaligned) to = memory + 2;
    if (misuse == Misuse::from_unaligned) from = x + 1;
    if (misuse == Misuse::too_long) bytes = 17;
    if (misuse == Misuse::negative) bytes = -1;
    if (misuse == Misuse::to_global) to = y;
    if (misuse == Misuse::beyond) to = memory + 12;
    if (misuse == Misuse::from_shared) from = memory + 8;
    warp::async_copy<16>(to, from, bytes);
    if (misuse != Misuse::no_commit) warp::async_copy_commit();
    if (misuse == Misuse::changed) x[3] = 7;
    if (misuse != Misuse::no_wait) warp::async_copy_wait<0>();
  }
  y[0] = memory[0];
}

TEST(EmulatedAsyncCopyDeathTest, RefusesWhatTheManualForbids) {
  const DeviceMemory<unsigned> x(std::vector<unsigned>(8, 0)), y(8);
  const auto expect = [&](Misuse misuse, const std::string& sentence) {
    EXPECT_DEATH(
        {
          launch(stream(), "copy", {1, 2}, misuse_kernel, misuse, x.data(), y.data());
          y.values();
        },
        "kernel copy, block 0, thread 1: " + sentence);
  };
  expect(Misuse::to_unaligned, "async_copy to an address that is no multiple of the bytes it copies");
  expect(Misuse::from_unaligned, "async_copy from an address that is no multiple of the bytes it copies");
  expect(Misuse::too_long, "async_copy of more source bytes than it copies, or of fewer than 0");
  expect(Misuse::negative, "async_copy of more source bytes than it copies, or of fewer than 0");
  expect(Misuse::to_global, "async_copy at an address that is not in the block's shared memory");
  expect(Misuse::from_shared, "async_copy from shared memory");
  expect(Misuse::no_wait, "ends with an async_copy that it has not waited for");
  expect(Misuse::no_commit, "ends with an async_copy that it has not waited for");
  expect(Misuse::changed, "the source of an async_copy has changed before its wait");
  EXPECT_DEATH(
      {
        launch(stream(), "copy", {1, 2}, misuse_kernel, Misuse::beyond, x.data(), y.data());
        y.values();
      },
      "thread 1: async_copy goes beyond an array in shared memory|heap-buffer-overflow");
}

}  // namespace
}  // namespace gpucnn
