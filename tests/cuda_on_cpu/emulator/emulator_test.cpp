#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/launch.h>

#include "standins/device_memory.h"

// What CUDA's manual says of barriers, warps and atomics, asked of the emulator.
namespace gpucnn {
namespace {

using testing::Each;
using testing::ElementsAre;

constexpr int kThreads = 96;
constexpr unsigned kAllLanes = 0xFFFFFFFF;

const Stream& stream() {
  static const Stream the(Device::cuda());
  return the;
}

// ---- blocks ----------------------------------------------------------------------------------------------------------

__global__ void index_kernel(std::int64_t* y) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  y[i] = i + 1000 * std::int64_t{gridDim.x};
}

TEST(Emulator, RunsEveryThreadOfEveryBlockOnce) {
  const DeviceMemory<std::int64_t> y(5 * kThreads);
  launch(stream(), "index", {5, kThreads}, index_kernel, y.data());
  std::vector<std::int64_t> expected(5 * kThreads);
  std::iota(expected.begin(), expected.end(), 5000);
  EXPECT_EQ(y.values(), expected);
}

TEST(Emulator, LaunchesNothingForAnEmptyGrid) {
  launch(stream(), "index", {0, kThreads}, index_kernel, static_cast<std::int64_t*>(nullptr));
  EXPECT_EQ(cudaStreamSynchronize(gpu::queue(Device::cuda()).stream()), cudaSuccess);
}

__global__ void sum_kernel(const int* x, int* y, int rounds) {
  GPUCNN_SHARED(int, sums, kThreads);
  for (int round = 0; round < rounds; ++round) {
    sums[threadIdx.x] = x[threadIdx.x] + round;
    __syncthreads();
    for (unsigned width = kThreads; width > 1; width = (width + 1) / 2) {
      const unsigned half = (width + 1) / 2;
      if (threadIdx.x + half < width) sums[threadIdx.x] += sums[threadIdx.x + half];
      __syncthreads();
    }
    if (threadIdx.x == 0) y[blockIdx.x * static_cast<unsigned>(rounds) + static_cast<unsigned>(round)] = sums[0];
    __syncthreads();
  }
}

TEST(Emulator, BarriersSeparateWhatComesBeforeFromWhatComesAfter) {
  std::vector<int> x(kThreads);
  std::iota(x.begin(), x.end(), 0);
  const DeviceMemory<int> values(x), y(6);
  launch(stream(), "sum", {2, kThreads}, sum_kernel, values.data(), y.data(), 3);
  constexpr int kSum = kThreads * (kThreads - 1) / 2;
  EXPECT_THAT(y.values(), ElementsAre(kSum, kSum + kThreads, kSum + 2 * kThreads, kSum, kSum + kThreads, kSum + 2 * kThreads));
}

__global__ void predicate_kernel(int* y) {
  const int few = __syncthreads_count(threadIdx.x % 3 == 0);
  const int any = __syncthreads_or(threadIdx.x == 7);
  const int all = __syncthreads_and(threadIdx.x != 7);
  y[threadIdx.x] = few * 100 + any * 10 + all;
}

TEST(Emulator, BarriersCountPredicates) {
  const DeviceMemory<int> y(kThreads);
  launch(stream(), "predicate", {1, kThreads}, predicate_kernel, y.data());
  EXPECT_THAT(y.values(), Each(kThreads / 3 * 100 + 10));
}

__global__ void unwritten_kernel(float* y) {
  GPUCNN_SHARED(float, values, 2);
  float* more = dynamic_shared<float>();
  y[2 * blockIdx.x] = values[0];
  y[2 * blockIdx.x + 1] = more[1];
  values[0] = more[1] = 1;
}

TEST(Emulator, SharedMemoryIsNanInEveryBlock) {
  const DeviceMemory<float> y(4);
  launch(stream(), "unwritten", {2, 1, 2 * sizeof(float)}, unwritten_kernel, y.data());
  EXPECT_THAT(y.values(), Each(testing::IsNan()));
}

__global__ void __launch_bounds__(64, 2) bounded_kernel(int* y) { y[threadIdx.x] = 1; }

TEST(Emulator, KnowsLaunchBounds) {
  const DeviceMemory<int> y(64);
  launch(stream(), "bounded", {1, 64}, bounded_kernel, y.data());
  EXPECT_THAT(y.values(), Each(1));
}

TEST(Emulator, RefusesBlocksThatNoGpuRuns) {
  const DeviceMemory<std::int64_t> y(1);
  EXPECT_THROW(launch(stream(), "index", {1, 1025}, index_kernel, y.data()), DeviceError);
  EXPECT_THROW(launch(stream(), "index", {1, 0}, index_kernel, y.data()), DeviceError);
}

// ---- threads that go ways of their own -------------------------------------------------------------------------------

__global__ void early_kernel(int* y) {
  if (threadIdx.x >= 40) return;  // half of warp 1, all of warp 2
  const unsigned mask = threadIdx.x < 32 ? kAllLanes : 0xFFU;
  y[threadIdx.x] = __shfl_xor_sync(mask, static_cast<int>(threadIdx.x), 1);
}

TEST(Emulator, AWarpGoesOnWithoutTheThreadsThatItsMaskLeavesOut) {
  const DeviceMemory<int> y(40);
  launch(stream(), "early", {1, kThreads}, early_kernel, y.data());
  std::vector<int> expected(40);
  for (int i = 0; i < 40; ++i) expected[static_cast<std::size_t>(i)] = i ^ 1;
  EXPECT_EQ(y.values(), expected);
}

__global__ void halves_kernel(int* y) {
  // The halves of a warp meet a different number of times.
  const bool low = threadIdx.x < 16;
  const unsigned mask = low ? 0xFFFFU : 0xFFFF0000U;
  int value = static_cast<int>(threadIdx.x);
  for (int i = 0; i < (low ? 5 : 2); ++i) {
    value = __shfl_sync(mask, value, static_cast<int>(threadIdx.x + 1) % 16, 16);
    __syncwarp(mask);
  }
  y[threadIdx.x] = value;
}

TEST(Emulator, PartsOfAWarpMeetByThemselves) {
  const DeviceMemory<int> y(32);
  launch(stream(), "halves", {1, 32}, halves_kernel, y.data());
  std::vector<int> expected(32);
  for (int i = 0; i < 32; ++i) expected[static_cast<std::size_t>(i)] = i < 16 ? (i + 5) % 16 : 16 + (i + 2) % 16;
  EXPECT_EQ(y.values(), expected);
}

__global__ void deserted_barrier_kernel() {
  if (threadIdx.x == 5) return;
  __syncthreads();
}

__global__ void deserted_warp_kernel() {
  if (threadIdx.x == 5) return;
  __syncwarp();
}

__global__ void two_places_kernel() {
  if (threadIdx.x < 16) {
    __syncwarp();
  } else {
    __ballot_sync(kAllLanes, 1);
  }
}

__global__ void foreign_mask_kernel() { __syncwarp(1); }

__global__ void left_out_lane_kernel() {
  if (threadIdx.x < 2) __shfl_sync(3, 1, 2);
}

void run(const char* name, int threads, void (*kernel)()) {
  launch(stream(), name, {2, threads}, kernel);
  cudaStreamSynchronize(gpu::queue(Device::cuda()).stream());
}

TEST(EmulatorDeathTest, NamesTheThreadsThatWaitForever) {
  EXPECT_DEATH(run("deserted", 64, deserted_barrier_kernel),
               "kernel deserted, block 0.*deadlock: thread 0 waits at __syncthreads\\(\\), 1 of the block's 64 threads have ended");
  EXPECT_DEATH(run("deserted", 32, deserted_warp_kernel), "deadlock: thread 0 waits at __syncwarp\\(\\)");
}

TEST(EmulatorDeathTest, RefusesMasksThatAreWrong) {
  EXPECT_DEATH(run("two places", 32, two_places_kernel),
               "__(ballot_sync|syncwarp)\\(\\), where other threads of the warp are at __(syncwarp|ballot_sync)\\(\\)");
  EXPECT_DEATH(run("foreign mask", 32, foreign_mask_kernel), "thread [0-9]+: .*leaves out the caller");
  EXPECT_DEATH(run("left out lane", 32, left_out_lane_kernel), "a shuffle reads a lane that its mask leaves out");
  EXPECT_DEATH(run("short warp", 40, deserted_warp_kernel), "the warp has 8 threads|deadlock");
}

// ---- warps -----------------------------------------------------------------------------------------------------------

__global__ void shuffle_kernel(double* y, int width) {
  const double x = threadIdx.x;
  y[threadIdx.x] = __shfl_sync(kAllLanes, x, 5, width);
  y[32 + threadIdx.x] = __shfl_up_sync(kAllLanes, x, 3, width);
  y[64 + threadIdx.x] = __shfl_down_sync(kAllLanes, x, 3, width);
  y[96 + threadIdx.x] = __shfl_xor_sync(kAllLanes, x, 9, width);
}

TEST(Emulator, ShufflesAsTheManualSays) {
  for (const int width : {32, 16, 8}) {
    SCOPED_TRACE(width);
    const DeviceMemory<double> y(128);
    launch(stream(), "shuffle", {1, 32}, shuffle_kernel, y.data(), width);
    std::vector<double> expected(128);
    for (int lane = 0; lane < 32; ++lane) {
      const int first = lane / width * width, end = first + width;
      const auto i = static_cast<std::size_t>(lane);
      expected[i] = first + 5;
      expected[32 + i] = lane - 3 < first ? lane : lane - 3;
      expected[64 + i] = lane + 3 >= end ? lane : lane + 3;
      expected[96 + i] = (lane ^ 9) >= end ? lane : lane ^ 9;
    }
    EXPECT_EQ(y.values(), expected);
  }
}

__global__ void vote_kernel(unsigned* y) {
  const int odd = threadIdx.x % 2;
  const unsigned ballot = __ballot_sync(kAllLanes, odd);
  const int any = __any_sync(kAllLanes, threadIdx.x == 3), all = __all_sync(kAllLanes, threadIdx.x != 3);
  const int none = __any_sync(kAllLanes, 0), every = __all_sync(kAllLanes, 2);
  if (threadIdx.x == 0) y[0] = ballot;
  if (threadIdx.x == 31) y[1] = static_cast<unsigned>(any * 1000 + all * 100 + none * 10 + every);
}

TEST(Emulator, WarpsVote) {
  const DeviceMemory<unsigned> y(2);
  launch(stream(), "vote", {1, 32}, vote_kernel, y.data());
  EXPECT_THAT(y.values(), ElementsAre(0xAAAAAAAAU, 1001U));
}

// ---- atomics ---------------------------------------------------------------------------------------------------------

__global__ void atomic_kernel(int* y, unsigned long long* wide) {
  const int i = static_cast<int>(threadIdx.x);
  atomicAdd(&y[0], i);
  atomicMin(&y[1], -i);
  atomicMax(&y[2], i);
  if (atomicCAS(&y[3], 0, i + 1) == 0) atomicExch(&y[4], 7);
  atomicAdd(wide, 1ULL << 32);
}

TEST(Emulator, AtomicsChangeAndGiveTheOldValue) {
  const DeviceMemory<int> y(std::vector<int>(5, 0));
  const DeviceMemory<unsigned long long> wide(std::vector<unsigned long long>{5});
  launch(stream(), "atomic", {1, kThreads}, atomic_kernel, y.data(), wide.data());
  EXPECT_THAT(y.values(), ElementsAre(kThreads * (kThreads - 1) / 2, 1 - kThreads, kThreads - 1, testing::Gt(0), 7));
  EXPECT_THAT(wide.values(), ElementsAre((std::uint64_t{kThreads} << 32) + 5));
}

// ---- the order of threads --------------------------------------------------------------------------------------------

__global__ void last_kernel(int* y) {
  y[0] = static_cast<int>(threadIdx.x);
  __syncthreads();
  y[1] = static_cast<int>(threadIdx.x);
}

TEST(EmulatorDeathTest, TakesThreadsInTheOrderThatTheEnvironmentNames) {
  // In another process, because the order is read once.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const bool reverse : {false, true}) {
    setenv("GPUCNN_EMULATOR_ORDER", reverse ? "reverse" : "forward", 1);
    EXPECT_EXIT(
        {
          const DeviceMemory<int> y(2);
          launch(stream(), "last", {1, kThreads}, last_kernel, y.data());
          const std::vector<int> last = y.values();
          std::exit(last[0] == last[1] && last[0] == (reverse ? 0 : kThreads - 1) ? 0 : 1);
        },
        testing::ExitedWithCode(0), "");
  }
  unsetenv("GPUCNN_EMULATOR_ORDER");
}

}  // namespace
}  // namespace gpucnn
