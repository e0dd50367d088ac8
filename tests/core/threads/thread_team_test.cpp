#include <gpucnn/core/threads/thread_team.h>

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <utility>
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

TEST(ThreadTeam, WaitsForThreadsThatArePreempted) {
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

cpu_set_t only(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<std::size_t>(core), &cores);
  return cores;
}

/// Runs tasks of which `sleeper`'s has no core for some milliseconds, as if the system had preempted it, while the other thread
/// waits. After each nap it calls `look`, until that says true. Returns whether it did.
template <class Look>
bool preempt(ThreadTeam& team, int sleeper, Look look) {
  bool seen = false;
  std::atomic<bool> asleep{false};
  // Others may keep the thread that waits from looking: so it is tried again.
  const auto task = [&](std::int64_t number, int thread) {
    if (number != thread) return;
    if (thread != sleeper) {
      for (int wait = 0; wait < 100 && !asleep; ++wait) std::this_thread::sleep_for(std::chrono::microseconds(100));
      return;
    }
    asleep = true;
    for (int wait = 0; wait < 20 && !seen; ++wait) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      seen = look();
    }
  };
  for (int call = 0; call < 100 && !seen; ++call) {
    asleep = false;
    team.run(2, 2, detail::TaskRef(task));
  }
  return seen;
}

TEST(ThreadTeam, LeavesThreadsWhereTheyMayRunUnlessAskedToMigrate) {
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "needs two cores";
  ThreadTeam team;
  EXPECT_FALSE(team.migrate());
  for (const int sleeper : {0, 1}) {
    int looks = 0;
    bool confined = false;
    preempt(team, sleeper, [&] {
      const cpu_set_t cores = cores_of_this_thread();
      confined = confined || !CPU_EQUAL(&cores, &all);
      return ++looks == 100;
    });
    EXPECT_EQ(looks, 100);
    EXPECT_FALSE(confined) << "thread " << sleeper;
  }
}

TEST(ThreadTeam, LeavesThreadsWhereTheyMayRunAfterMigration) {
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "needs two cores";
  ThreadTeam team;
  team.set_migrate(true);
  for (const int sleeper : {0, 1}) {
    int looks = 0, confined = 0;
    preempt(team, sleeper, [&] {
      const cpu_set_t cores = cores_of_this_thread();
      confined += !CPU_EQUAL(&cores, &all);
      return ++looks == 100;
    });
    EXPECT_EQ(looks, 100);
    EXPECT_LE(confined, 5) << "thread " << sleeper;  // a nap may end in the microseconds of a move
    EXPECT_EQ(sum_below(team, 20, 2), 190);
    const cpu_set_t cores = cores_of_this_thread();
    EXPECT_TRUE(CPU_EQUAL(&cores, &all));
  }
}

/// Where another thread may run once it has been brought here and, after `meanwhile` on this thread, has settled. `before` comes
/// first, on that thread.
template <class Before, class Meanwhile>
cpu_set_t cores_after_move(Before before, Meanwhile meanwhile) {
  PreemptedThread moved;
  std::atomic<int> step{0};
  cpu_set_t cores;
  std::thread other([&] {
    before();
    moved.become_this();
    step = 1;
    while (step != 2) std::this_thread::yield();
    moved.settle();
    cores = cores_of_this_thread();
  });
  while (step != 1) std::this_thread::yield();
  moved.bring_here();
  meanwhile();
  step = 2;
  other.join();
  EXPECT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
  return cores;
}

TEST(PreemptedThread, MayRunWhereItMightBeforeOnceItIsMoved) {
  const cpu_set_t cores = cores_after_move([] {}, [] {});
  EXPECT_TRUE(CPU_EQUAL(&cores, &all));
}

TEST(PreemptedThread, TakesOverTheAffinityThatIsSetWhileItIsMoved) {
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "needs two cores";
  const cpu_set_t one = only(sched_getcpu());
  const cpu_set_t cores = cores_after_move([] {}, [&] { EXPECT_EQ(sched_setaffinity(0, sizeof one, &one), 0); });
  EXPECT_TRUE(CPU_EQUAL(&cores, &one));
}

TEST(PreemptedThread, IsNotMovedWhereItMayRunOnOtherCores) {
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "needs two cores";
  const cpu_set_t one = only(sched_getcpu());
  const cpu_set_t cores = cores_after_move([&] { EXPECT_EQ(sched_setaffinity(0, sizeof one, &one), 0); }, [] {});
  EXPECT_TRUE(CPU_EQUAL(&cores, &one));
}

/// Where another thread runs, and where it may, once it has left this core, to which it was confined before. `stays`: it still is.
std::pair<int, cpu_set_t> place_after_leaving(int core, bool stays) {
  std::atomic<int> step{0}, seen{-1};
  cpu_set_t cores;
  std::thread other([&] {
    const cpu_set_t here = only(core);
    EXPECT_EQ(sched_setaffinity(0, sizeof here, &here), 0);
    if (!stays) {
      EXPECT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
    }
    step = 1;
    while (step != 2) std::this_thread::yield();
    seen = sched_getcpu();
    cores = cores_of_this_thread();
  });
  while (step != 1) std::this_thread::yield();
  leave_this_core(other.native_handle());
  step = 2;
  while (seen < 0) {  // keeps this core busy
  }
  other.join();
  return {seen, cores};
}

TEST(PreemptedThread, LeavesTheCoreOfAThreadThatKeepsItBusy) {
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "needs two cores";
  int moved = 0;
  for (int trial = 0; trial < 20; ++trial) {
    const int core = sched_getcpu();
    const auto [seen, cores] = place_after_leaving(core, false);
    EXPECT_TRUE(CPU_EQUAL(&cores, &all));
    moved += seen != core;
  }
  EXPECT_GE(moved, 10);  // the system may move both meanwhile
}

TEST(PreemptedThread, LeavesItsOwnCore) {
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "needs two cores";
  int moved = 0;
  for (int trial = 0; trial < 20; ++trial) {
    const int core = sched_getcpu();
    leave_this_core(pthread_self());
    moved += sched_getcpu() != core;
    const cpu_set_t cores = cores_of_this_thread();
    EXPECT_TRUE(CPU_EQUAL(&cores, &all));
  }
  EXPECT_GE(moved, 10);  // the system may move it back at once
}

TEST(PreemptedThread, StaysOnTheOneCoreThatItMayRunOn) {
  const int core = sched_getcpu();
  const cpu_set_t one = only(core);
  const auto [seen, cores] = place_after_leaving(core, true);
  EXPECT_EQ(seen, core);
  EXPECT_TRUE(CPU_EQUAL(&cores, &one));
}

TEST(ThreadTeam, LeavesAnAffinityThatIsSetAmidWork) {
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "needs two cores";
  for (const bool migrate : {false, true}) {
    for (const int sleeper : {0, 1}) {
      SCOPED_TRACE(testing::Message() << "migrate " << migrate << ", thread " << sleeper);
      ThreadTeam team;
      team.set_migrate(migrate);
      const cpu_set_t one = only(sched_getcpu());
      int looks = 0;
      bool set = false, stays = true;
      preempt(team, sleeper, [&] {
        if (!set) {
          set = sched_setaffinity(0, sizeof one, &one) == 0;
        } else {
          const cpu_set_t cores = cores_of_this_thread();
          stays = stays && CPU_EQUAL(&cores, &one);
        }
        return ++looks == 30;
      });
      EXPECT_TRUE(set);
      EXPECT_TRUE(stays);
      EXPECT_EQ(looks, 30);
      ASSERT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
    }
  }
}

TEST(ThreadTeam, EndsItsThreadsForGood) {
  ThreadTeam team;
  EXPECT_EQ(sum_below(team, 100, 3), 4950);
  team.close();
  const auto caller = std::this_thread::get_id();
  const auto alone = [&](std::int64_t, int thread) {
    EXPECT_EQ(thread, 0);
    EXPECT_EQ(std::this_thread::get_id(), caller);
  };
  team.run(100, 3, detail::TaskRef(alone));
  team.shrink(1);
  team.close();
}

TEST(ThreadTeam, IsClosedWhileAnotherThreadCallsIt) {
  for (int round = 0; round < 50; ++round) {
    ThreadTeam team;
    std::atomic<bool> begun{false}, stop{false};
    std::atomic<int> wrong{0};
    std::thread other([&] {
      while (!stop) {
        wrong += sum_below(team, 20, 3) != 190;
        begun = true;
      }
    });
    while (!begun) std::this_thread::yield();
    team.close();
    EXPECT_EQ(sum_below(team, 20, 3), 190);
    stop = true;
    other.join();
    EXPECT_EQ(wrong, 0);
  }
}

TEST(ThreadTeam, IsNotWaitedForWhereATaskClosesIt) {
  ThreadTeam team;
  const auto close = [&](std::int64_t) { team.close(); };
  team.run(10, 3, detail::TaskRef(close));
  EXPECT_EQ(sum_below(team, 20, 3), 190);
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
