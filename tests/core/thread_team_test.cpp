#include <gpucnn/core/thread_team.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace gpucnn {
namespace {

std::int64_t sum_below(ThreadTeam& team, std::int64_t tasks, int threads) {
  std::atomic<std::int64_t> sum{0};
  const auto add = [&](std::int64_t task) { sum += task; };
  team.run(tasks, threads, detail::TaskRef(add));
  return sum;
}

TEST(ThreadTeam, ServesManyShortCallsInARowOnAChangingNumberOfThreads) {
  ThreadTeam team;
  for (int round = 0; round < 5'000; ++round) {
    const std::int64_t tasks = round % 9;
    ASSERT_EQ(sum_below(team, tasks, 1 + round % 4), tasks * (tasks - 1) / 2) << round;
  }
}

TEST(ThreadTeam, ServesSeveralCallersAtOnce) {
  ThreadTeam team;
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 1'000; ++round) wrong += sum_below(team, 20, 3) != 190;
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ThreadTeam, NumbersItsThreadsSoThatNoTwoHaveANumberAtOnce) {
  ThreadTeam team;
  for (const int threads : {1, 2, 5}) {
    std::vector<std::atomic<bool>> busy(static_cast<std::size_t>(threads));
    std::atomic<int> wrong{0};
    const auto task = [&](std::int64_t, int thread) {
      if (thread < 0 || thread >= threads || busy[static_cast<std::size_t>(thread)].exchange(true)) ++wrong;
      std::this_thread::yield();
      busy[static_cast<std::size_t>(thread)] = false;
    };
    for (int round = 0; round < 200; ++round) team.run(40, threads, detail::TaskRef(task));
    EXPECT_EQ(wrong, 0) << threads;
  }
}

TEST(ThreadTeam, WaitsForThreadsThatArePutAside) {
  ThreadTeam team;
  const auto work_for = [](std::chrono::microseconds time) {
    for (const auto start = std::chrono::steady_clock::now(); std::chrono::steady_clock::now() - start < time;) {
    }
  };
  // More threads than processors: the system takes them off in the midst of their tasks.
  const int threads = 4 * static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  for (int call = 0; call < 20; ++call) {
    std::atomic<int> done{0};
    const auto task = [&](std::int64_t number) {
      work_for(std::chrono::microseconds(number == 0 ? 10 : 500));
      ++done;
    };
    team.run(threads, threads, detail::TaskRef(task));
    EXPECT_EQ(done, threads);
  }
}

TEST(ThreadTeam, EndsItsThreadsAndGoesOnWithNewOnes) {
  ThreadTeam team;
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(sum_below(team, 100, 4), 4950);
    team.shrink(1 + round % 4);
  }
}

TEST(ThreadTeam, BeginsNoFurtherTaskOnItsThreadAfterAnException) {
  ThreadTeam team;
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> begun{0};
    const auto fail = [&](std::int64_t) {
      ++begun;
      throw std::runtime_error("no");
    };
    EXPECT_THROW(team.run(1'000, 3, detail::TaskRef(fail)), std::runtime_error);
    EXPECT_LE(begun, 3);
  }
}

}  // namespace
}  // namespace gpucnn
