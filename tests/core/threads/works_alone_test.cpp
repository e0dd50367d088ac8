#include <gpucnn/core/threads/works_alone.h>

#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include <gpucnn/core/threads/parallel.h>

namespace gpucnn {
namespace {

/// How many of many tasks ran on other threads than this.
int on_other_threads() {
  std::atomic<int> others{0};
  const std::thread::id me = std::this_thread::get_id();
  parallel_for(64, [&](std::int64_t) {
    if (std::this_thread::get_id() != me) ++others;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  });
  return others;
}

TEST(WorksAlone, RunsOnTheCallingThreadUntilItEnds) {
  const int before = num_threads();
  set_num_threads(3);
  EXPECT_GT(on_other_threads(), 0);
  {
    const WorksAlone alone;
    EXPECT_EQ(on_other_threads(), 0);
    {
      const WorksAlone within;
      EXPECT_EQ(on_other_threads(), 0);
    }
    EXPECT_EQ(on_other_threads(), 0);
  }
  EXPECT_GT(on_other_threads(), 0);
  set_num_threads(before);
}

TEST(WorksAlone, KeepsItsCoreFromTheTeam) {
  const int before = num_threads();
  set_num_threads(2);
  std::atomic<bool> begun{false}, over{false};
  std::thread other([&] {
    const WorksAlone alone;
    begun = true;
    while (!over) std::this_thread::yield();
  });
  while (!begun) std::this_thread::yield();
  EXPECT_EQ(on_other_threads(), 0) << "of two cores one is taken";
  over = true;
  other.join();
  EXPECT_GT(on_other_threads(), 0);
  set_num_threads(before);
}

}  // namespace
}  // namespace gpucnn
