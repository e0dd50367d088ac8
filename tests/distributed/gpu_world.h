#pragma once

#include <optional>

#include <gtest/gtest.h>

#include <gpucnn/core/error.h>

#include "distributed/world.h"

namespace gpucnn {

/// Tests of ranks that have a GPU each: two or more of them, as many as the machine has GPUs.
class GpuRanks : public testing::Test {
 protected:
  void SetUp() override {
    if (world().size() == 1) GTEST_SKIP() << "one rank";
    try {
      device = world().gpu();
    } catch (const DeviceError& error) {
      GTEST_SKIP() << error.what();
    }
  }

  Device device;
};

}  // namespace gpucnn
