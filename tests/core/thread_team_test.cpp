#include <gpucnn/core/thread_team.h>

#include <sched.h>

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

cpu_set_t cores_of_this_thread() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  EXPECT_EQ(sched_getaffinity(0, sizeof cores, &cores), 0);
  return cores;
}

const cpu_set_t all = cores_of_this_thread();  // before a test can leave this thread on fewer

TEST(ThreadTeam, GivesTheCoreThatWaitsToWhoIsPutAside) {
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "needs two cores";
  ThreadTeam team;
  for (const int sleeper : {0, 1}) {
    SCOPED_TRACE(sleeper);
    bool brought = false;
    std::atomic<bool> asleep{false};
    // A thread that sleeps has no core either. It gives up at last; others may keep the one that waits from looking at it.
    const auto task = [&](std::int64_t number, int thread) {
      if (number != thread) return;
      if (thread != sleeper) {
        for (int wait = 0; wait < 100 && !asleep; ++wait) std::this_thread::sleep_for(std::chrono::microseconds(100));
        return;
      }
      asleep = true;
      for (int wait = 0; wait < 20 && !brought; ++wait) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const cpu_set_t cores = cores_of_this_thread();
        brought = CPU_COUNT(&cores) == 1;
      }
    };
    for (int call = 0; call < 100 && !brought; ++call) {
      asleep = false;
      team.run(2, 2, detail::TaskRef(task));
    }
    EXPECT_TRUE(brought);

    std::atomic<int> confined{0};
    const auto look = [&](std::int64_t) {
      const cpu_set_t cores = cores_of_this_thread();
      if (!CPU_EQUAL(&cores, &all)) ++confined;
      std::this_thread::sleep_for(std::chrono::microseconds(20));  // so that both threads take some
    };
    team.run(200, 2, detail::TaskRef(look));
    EXPECT_EQ(confined, 0);
  }
  const cpu_set_t after = cores_of_this_thread();
  EXPECT_TRUE(CPU_EQUAL(&after, &all));
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
