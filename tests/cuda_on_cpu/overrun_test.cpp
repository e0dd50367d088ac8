#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planted.h"
#include "standins/device_memory.h"

// AddressSanitizer must find what is planted, and name the file; the clean twins pass.
namespace gpucnn {
namespace {

using planted::write_dynamic_shared;
using planted::write_global;
using planted::write_static_shared;

constexpr std::int64_t kCount = 100;
const char* const kOverrun = "heap-buffer-overflow.*planted\\.cu";

void write(std::int64_t count, bool fault) {
  const DeviceMemory<float> y(static_cast<std::size_t>(count));
  write_global(Stream(Device::cuda()), y.data(), count, fault);
  EXPECT_THAT(y.values(), testing::Each(1));
}

template <class Kernel>
void share(const Kernel& kernel, bool fault) {
  const DeviceMemory<float> y(64);
  kernel(Stream(Device::cuda()), y.data(), fault);
  EXPECT_EQ(y.values()[63], 63);
}

void load(bool fault) {
  const DeviceMemory<float> y(32);
  planted::load_dynamic_matrices(Stream(Device::cuda()), y.data(), fault);
  EXPECT_EQ(y.values()[30], 30);
}

void copy(bool fault) {
  const DeviceMemory<float> x(std::vector<float>(64, 1)), y(64);
  planted::copy_beyond(Stream(Device::cuda()), x.data(), y.data(), fault);
  EXPECT_THAT(y.values(), testing::Each(1));
}

TEST(Overrun, CleanKernelsPass) {
  write(kCount, false);
  share(write_static_shared, false);
  share(write_dynamic_shared, false);
  load(false);
  copy(false);
}

TEST(OverrunDeathTest, OfGlobalMemory) { EXPECT_DEATH(write(kCount, true), kOverrun); }
TEST(OverrunDeathTest, OfStaticSharedMemory) {
  EXPECT_DEATH(share(write_static_shared, true), "planted\\.cu.*(out of bounds|overflow)|overflow.*planted\\.cu");
}
TEST(OverrunDeathTest, OfDynamicSharedMemory) { EXPECT_DEATH(share(write_dynamic_shared, true), kOverrun); }
TEST(OverrunDeathTest, OfTheLastRowOfAnLdmatrix) { EXPECT_DEATH(load(true), kOverrun); }
TEST(OverrunDeathTest, OfTheSourceOfAnAsyncCopy) { EXPECT_DEATH(copy(true), kOverrun); }

}  // namespace
}  // namespace gpucnn
