#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/dependent_launch.h>
#include <gpucnn/core/gpu/graph_capture.h>
#include <gpucnn/core/gpu/launch.h>

#include "standins/device_memory.h"

// What a launch may ask for: shared memory beyond 48 KiB, and to begin before the kernel before has ended.
namespace gpucnn {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr std::size_t kMost = 227 * 1024;

const Stream& stream() {
  static const Stream the(Device::cuda());
  return the;
}

// ---- shared memory ---------------------------------------------------------------------------------------------------

__global__ void last_word_kernel(unsigned* y, std::int64_t words) {
  unsigned* memory = dynamic_shared<unsigned>();
  memory[words - 1] = 7;
  y[0] = memory[0];
  y[1] = memory[words - 1];
}

/// 47 KiB of static memory beside what the launch asks for.
__global__ void both_kernel(unsigned* y) {
  GPUCNN_SHARED(unsigned, fixed, 47 * 256);
  fixed[0] = dynamic_shared<unsigned>()[0];
  y[0] = fixed[0];
}

__global__ void too_large_kernel(unsigned* y) {
  GPUCNN_SHARED(unsigned, some, 256);
  GPUCNN_SHARED(unsigned, more, 47 * 256 + 1);
  some[0] = more[0];
  y[0] = some[0];
}

TEST(EmulatedLaunch, GivesABlockAllSharedMemoryOfTheGpu) {
  const DeviceMemory<unsigned> y(2);
  launch(stream(), "last_word", {1, 1, kMost}, last_word_kernel, y.data(), kMost / 4);
  EXPECT_THAT(y.values(), ElementsAre(0xFFFFFFFF, 7));
  EXPECT_THAT(
      [&] {
        launch(stream(), "last_word", {1, 1, kMost + 4}, last_word_kernel, y.data(), 1);
      },
      ThrowsMessage<DeviceError>(HasSubstr("last_word: 232452 bytes of dynamic shared memory, and the static, are more than "
                                           "the 232448 bytes that GPU 0 has for a block")));
}

TEST(EmulatedLaunchDeathTest, CountsStaticMemoryToo) {
  const DeviceMemory<unsigned> y(1);
  launch(stream(), "both", {1, 1, kMost - 47 * 1024}, both_kernel, y.data());
  EXPECT_THAT(y.values(), Each(0xFFFFFFFF));
  EXPECT_DEATH(
      {
        launch(stream(), "both", {1, 1, kMost - 47 * 1024 + 4}, both_kernel, y.data());
        y.values();
      },
      "kernel both, block 0, thread 0: 232452 bytes of shared memory, static and dynamic, where the launch allows 232448");
  EXPECT_DEATH(
      {
        launch(stream(), "too_large", {1, 1}, too_large_kernel, y.data());
        y.values();
      },
      "kernel too_large, block 0, thread 0: more than 48 KiB of static shared memory");
}

TEST(EmulatedLaunchDeathTest, Gives48KiBToALaunchThatDoesNotAsk) {
  // As a user does who does not know.
  const DeviceMemory<unsigned> y(1);
  const auto enqueue = [&](std::size_t bytes) {
    auto call =
        std::make_shared<emulator::KernelCall<unsigned*>>("unasked", 1, LaunchShape{1, 1, bytes}, too_large_kernel, y.data());
    return standin::enqueue_kernel(gpu::queue(Device::cuda()).stream(), call);
  };
  EXPECT_EQ(enqueue(48 * 1024 + 4), cudaErrorInvalidValue);
  cudaGetLastError();
  const auto both = [&](std::size_t bytes) {
    auto call = std::make_shared<emulator::KernelCall<unsigned*>>(
        "unasked", 1, LaunchShape{1, 1, bytes}, +[](unsigned* z) { both_kernel(z); }, y.data());
    gpu::check(standin::enqueue_kernel(gpu::queue(Device::cuda()).stream(), call), "unasked");
    y.values();
  };
  both(1024);
  EXPECT_DEATH(both(1028), "kernel unasked, block 0, thread 0: 49156 bytes of shared memory, .* where the launch allows 49152");
}

TEST(EmulatedLaunchDeathTest, GivesLessOnGpusThatHaveLess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const auto& [capability, kib] : {std::pair("7.5", 64), {"8.0", 163}, {"8.6", 99}, {"8.9", 99}, {"9.0", 227}, {"12.0", 99}}) {
    SCOPED_TRACE(capability);
    setenv("GPUCNN_STANDIN_CAPABILITY", capability, 1);
    EXPECT_EXIT(
        {
          const DeviceMemory<unsigned> y(2);
          const std::size_t most = static_cast<std::size_t>(kib) * 1024;
          launch(stream(), "last_word", {1, 1, most}, last_word_kernel, y.data(), 1);
          y.values();
          try {
            launch(stream(), "last_word", {1, 1, most + 4}, last_word_kernel, y.data(), 1);
          } catch (const DeviceError&) {
            std::exit(gpu::queue(Device::cuda()).max_shared_bytes() == most ? 0 : 2);
          }
          std::exit(1);
        },
        testing::ExitedWithCode(0), "");
  }
  unsetenv("GPUCNN_STANDIN_CAPABILITY");
}

__global__ void captured_kernel(unsigned* y) {
  dynamic_shared<unsigned>()[20 * 1024] = 3;
  y[0] = dynamic_shared<unsigned>()[20 * 1024];
}

TEST(EmulatedLaunch, AsksForSharedMemoryInACapture) {
  const DeviceMemory<unsigned> y(std::vector<unsigned>{0});
  std::unique_ptr<gpu::Graph> graph;
  {
    gpu::Capture capture(Device::cuda(), nullptr);
    launch(stream(), "captured", {1, 1, 100 * 1024}, captured_kernel, y.data());
    EXPECT_FALSE(capture.refused());
    graph = capture.finish();
  }
  EXPECT_THAT(y.values(), Each(0));
  graph->launch();
  EXPECT_THAT(y.values(), Each(3));
}

// ---- overlapping launches --------------------------------------------------------------------------------------------

__global__ void step_kernel(int* y, int waiting_threads) {
  launch_dependents();
  if (static_cast<int>(threadIdx.x) < waiting_threads) wait_for_previous_kernel();
  y[threadIdx.x] += 1;
}

TEST(EmulatedLaunch, OverlapsWhatComesBefore) {
  const DeviceMemory<int> y(std::vector<int>(64, 0));
  for (int i = 0; i < 3; ++i)
    launch(stream(), "step", {.blocks = 1, .threads = 64, .overlaps_previous = true}, step_kernel, y.data(), 64);
  launch(stream(), "step", {1, 64}, step_kernel, y.data(), 0);  // which need not wait
  EXPECT_THAT(y.values(), Each(4));
}

TEST(EmulatedLaunchDeathTest, SeesAThreadThatDoesNotWait) {
  const DeviceMemory<int> y(std::vector<int>(64, 0));
  EXPECT_DEATH(
      {
        for (int i = 0; i < 2; ++i) {  // a thread that has waited in the kernel before has not in this one
          launch(stream(), "step", {.blocks = 1, .threads = 64, .overlaps_previous = true}, step_kernel, y.data(), 64 - i);
        }
        y.values();
      },
      "kernel step, block 0, thread 63: ends without wait_for_previous_kernel\\(\\), though its launch overlaps");
}

}  // namespace
}  // namespace gpucnn
