#include <gpucnn/core/threads/float_environment.h>

#include <atomic>
#include <cfenv>
#include <stdexcept>

#include <gtest/gtest.h>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>

#include "everywhere.h"
#include "float_environments.h"

namespace gpucnn {
namespace {

/// Whether this thread computes as in the default environment. Rounds, gives a subnormal, and divides by zero.
bool computes_by_default() {
  // Not known to the compiler, and written: it may neither compute beforehand nor elsewhere.
  volatile float one = 1, three = 3, zero = 0, tiny = 1e-38F;
  volatile float third = one / three, below = -one / three, half = tiny * 0.5F, infinite = one / zero;
  return third == 1.0F / 3 && below == -1.0F / 3 && half > 0 && infinite > 1;
}

TEST(FloatEnvironment, IsTheDefaultWhileOneLives) {
  for (const CallersEnvironment& environment : callers_environments()) {
    SCOPED_TRACE(environment.name);
    bool inside = false, nested = false, still = false;
    {
      const ForcedFloatEnvironment callers(environment);
      const FloatEnvironment standard;
      inside = computes_by_default();
      {
        const FloatEnvironment again;
        nested = computes_by_default();
      }
      still = computes_by_default();
    }
    EXPECT_TRUE(inside && nested && still);
  }
}

TEST(FloatEnvironment, IsTheDefaultInEveryTask) {
  for (const int threads : {1, 2, 5}) {
    for (const CallersEnvironment& environment : callers_environments()) {
      SCOPED_TRACE(testing::Message() << environment.name << ", threads: " << threads);
      const ForcedThreads none(1);  // so that the threads are made by a caller that has this environment
      const ForcedThreads forced(threads);
      std::atomic<int> right{0};
      {
        const ForcedFloatEnvironment callers(environment);
        for (int call = 0; call < 2; ++call) {
          parallel_for(100, [&](std::int64_t) { right += computes_by_default() ? 1 : 0; });
        }
      }
      EXPECT_EQ(right, 200);
    }
  }
}

TEST(FloatEnvironment, IsTheCallersAgainWhenATaskThrows) {
  for (const int threads : {1, 5}) {
    const ForcedThreads forced(threads);
    for (const CallersEnvironment& environment : callers_environments()) {
      SCOPED_TRACE(testing::Message() << environment.name << ", threads: " << threads);
      const ForcedFloatEnvironment callers(environment);
      const auto fail = [](std::int64_t task) {
        computes_by_default();
        if (task == 7) throw std::runtime_error("task seven");
      };
      EXPECT_THROW(parallel_for(100, fail), std::runtime_error);
    }
  }
}

TEST(FloatEnvironment, IsTheDefaultWhereNormalNumbersAreDrawn) {
  const std::vector<float> expected = Tensor::randn({5, 3, 7, 9}, 1).to_vector<float>();
  for (const CallersEnvironment& environment : callers_environments()) {
    SCOPED_TRACE(environment.name);
    std::vector<float> drawn;
    {
      const ForcedFloatEnvironment callers(environment);
      drawn = Tensor::randn({5, 3, 7, 9}, 1).to_vector<float>();
    }
    EXPECT_EQ(drawn, expected);
  }
}

}  // namespace
}  // namespace gpucnn
