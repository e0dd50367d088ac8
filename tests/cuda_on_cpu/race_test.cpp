#include <cstdlib>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planted.h"
#include "standins/device_memory.h"

// ThreadSanitizer must find what is planted, and name the file; the clean twins pass.
namespace gpucnn {
namespace {

using Kernel = void (*)(const Stream&, float*, bool);

void run(Kernel kernel, bool fault) {
  const DeviceMemory<float> y(64);
  kernel(Stream(Device::cuda()), y.data(), fault);
  y.values();
}

void sum_in_last_block(bool fault) {
  const DeviceMemory<float> y(1), partial(4);
  const DeviceMemory<unsigned> finished(std::vector<unsigned>{0});
  planted::sum_in_last_block(Stream(Device::cuda()), y.data(), partial.data(), finished.data(), fault);
  EXPECT_THAT(y.values(), testing::ElementsAre(6));
}

using Copy = void (*)(const Stream&, const float*, float*, bool);

void run(Copy copy, bool fault) {
  const DeviceMemory<float> x(std::vector<float>(64, 1)), y(64);
  copy(Stream(Device::cuda()), x.data(), y.data(), fault);
  EXPECT_THAT(y.values(), testing::Each(1));
}

/// ThreadSanitizer ends a process with this code if it has found something.
void expect_race(const std::function<void()>& body) {
  EXPECT_EXIT(
      {
        body();
        std::exit(0);
      },
      testing::ExitedWithCode(66), "data race.*planted\\.cu");
}

void expect_race(Kernel kernel) {
  expect_race([kernel] { run(kernel, true); });
}

TEST(Race, CleanKernelsPass) {
  for (int i = 0; i < 3; ++i) {
    run(planted::reverse, false);
    run(planted::reverse_warp, false);
    run(planted::write_twice, false);
    run(planted::write_from_blocks, false);
    sum_in_last_block(false);
    run(planted::load_matrices, false);
    run(planted::copy_and_read, false);
    run(planted::copy_over, false);
  }
}

TEST(RaceDeathTest, AMissingBarrier) { expect_race(planted::reverse); }
TEST(RaceDeathTest, AShuffleIsNoBarrier) { expect_race(planted::reverse_warp); }
TEST(RaceDeathTest, TwoThreadsOfABlock) { expect_race(planted::write_twice); }
TEST(RaceDeathTest, TwoBlocks) { expect_race(planted::write_from_blocks); }
TEST(RaceDeathTest, AnLdmatrixIsNoBarrier) { expect_race(planted::load_matrices); }
TEST(RaceDeathTest, AnAsyncCopyThatIsReadBeforeItsWait) {
  expect_race([] { run(planted::copy_and_read, true); });
}
TEST(RaceDeathTest, AnAsyncCopyOverWhatIsStillRead) {
  expect_race([] { run(planted::copy_over, true); });
}
TEST(RaceDeathTest, ABlockThatDoesNotKnowItIsLast) {
  expect_race([] { sum_in_last_block(true); });
}

}  // namespace
}  // namespace gpucnn
