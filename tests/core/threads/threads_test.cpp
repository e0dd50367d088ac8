#include <gpucnn/core/threads/threads.h>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/threads/parallel.h>

namespace gpucnn {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// Every case runs with 1, 2 and more threads than tasks.
class Parallel : public ::testing::TestWithParam<int> {
 protected:
  Parallel() { set_num_threads(GetParam()); }
  ~Parallel() override { set_num_threads(before_); }

 private:
  const int before_ = num_threads();
};
INSTANTIATE_TEST_SUITE_P(Threads, Parallel, ::testing::Values(1, 2, 7));

TEST_P(Parallel, ForRunsEveryTaskOnce) {
  for (const std::int64_t tasks : {0, 1, 2, 5, 1000}) {
    std::vector<std::atomic<int>> runs(static_cast<std::size_t>(tasks) + 1);
    parallel_for(tasks, [&](std::int64_t task) { ++runs[static_cast<std::size_t>(task)]; });
    for (std::size_t task = 0; task < runs.size() - 1; ++task) EXPECT_EQ(runs[task], 1) << task << " of " << tasks;
    EXPECT_EQ(runs.back(), 0);
  }
}

TEST_P(Parallel, RangesCoverAllInPiecesOfTheGrain) {
  for (const std::int64_t count : {0, 1, 9, 10, 11, 95}) {
    std::vector<int> touched(static_cast<std::size_t>(count));
    parallel_ranges(count, 10, [&](std::int64_t first, std::int64_t last) {
      EXPECT_EQ(first % 10, 0);
      EXPECT_EQ(last, std::min(first + 10, count));
      for (std::int64_t i = first; i < last; ++i) ++touched[static_cast<std::size_t>(i)];
    });
    EXPECT_THAT(touched, Each(1)) << count;
  }
}

TEST_P(Parallel, ExceptionsReachTheCallerAndLeaveTheThreadsUsable) {
  const auto fail_at_seven = [](std::int64_t task) {
    if (task == 7) throw std::runtime_error("task seven");
  };
  EXPECT_THAT([&] { parallel_for(100, fail_at_seven); }, ThrowsMessage<std::runtime_error>(HasSubstr("task seven")));
  EXPECT_THROW(parallel_for(1, [](std::int64_t) { throw std::logic_error("alone"); }), std::logic_error);
  std::atomic<int> runs{0};
  parallel_for(100, [&](std::int64_t) { ++runs; });
  EXPECT_EQ(runs, 100);
}

TEST_P(Parallel, NestedRunsOnTheTasksOwnThread) {
  std::atomic<int> runs{0}, strays{0};
  parallel_for(8, [&](std::int64_t) {
    const auto outer = std::this_thread::get_id();
    parallel_for(8, [&](std::int64_t) {
      ++runs;
      if (std::this_thread::get_id() != outer) ++strays;
    });
  });
  EXPECT_EQ(runs, 64);
  EXPECT_EQ(strays, 0);
}

TEST_P(Parallel, NestedExceptionsReachTheCaller) {
  EXPECT_THROW(parallel_for(4, [](std::int64_t) { parallel_for(4, [](std::int64_t) { throw std::runtime_error("deep"); }); }),
               std::runtime_error);
}

TEST_P(Parallel, UsesNoMoreThreadsThanAllowed) {
  std::vector<std::thread::id> thread_of(64);
  parallel_for(64, [&](std::int64_t task) { thread_of[static_cast<std::size_t>(task)] = std::this_thread::get_id(); });
  EXPECT_LE(std::set(thread_of.begin(), thread_of.end()).size(), static_cast<std::size_t>(GetParam()));
}

/// Returns when a second thread takes tasks: one that begins while the process forks may hold a lock of the allocator's.
void wait_for_a_second_thread() {
  std::atomic<bool> came{false};
  const auto caller = std::this_thread::get_id();
  while (!came) {
    parallel_for(64, [&](std::int64_t) {
      if (std::this_thread::get_id() != caller) came = true;
    });
  }
}

TEST(Threads, AForkedChildWorksWithoutTheThreadsOfItsParent) {
  const int before = num_threads();
  set_num_threads(2);
  wait_for_a_second_thread();
  const auto sum_below_100 = [] {
    std::atomic<std::int64_t> sum{0};
    parallel_for(100, [&](std::int64_t task) { sum += task; });
    return sum.load();
  };
  ASSERT_EQ(sum_below_100(), 4950);
  const pid_t child = fork();
  if (child == 0) {
    const bool right = sum_below_100() == 4950;
    set_num_threads(1);
    std::exit(right && sum_below_100() == 4950 ? 0 : 1);  // exit: statics are destroyed as in any program
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  set_num_threads(before);
}

std::ptrdiff_t threads_of_this_process() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
}

TEST(Threads, ThoseBeyondTheNumberEnd) {
  const int before = num_threads();
  const std::ptrdiff_t others = threads_of_this_process();
  set_num_threads(4);
  std::atomic<std::int64_t> sum{0};
  parallel_for(100, [&](std::int64_t task) { sum += task; });
  EXPECT_GE(threads_of_this_process(), 4);
  set_num_threads(1);
  // The system may list a thread for a moment after it has been joined.
  for (int wait = 0; wait < 1000 && threads_of_this_process() > others; ++wait) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_LE(threads_of_this_process(), others);
  set_num_threads(4);
  parallel_for(100, [&](std::int64_t task) { sum += task; });
  EXPECT_EQ(sum.load(), 2 * 4950);
  set_num_threads(before);
}

TEST(Threads, AChildForkedWhileOthersWorkMaySetTheNumberOfThreads) {
  const int before = num_threads();
  set_num_threads(2);
  wait_for_a_second_thread();
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) parallel_for(64, [](std::int64_t) {});
  });
  for (int i = 0; i < 20; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      set_num_threads(1);
      _exit(0);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  stop = true;
  other.join();
  set_num_threads(before);
}

/// The lines of /proc/self/task/<thread>/status, and its name, of the threads that the library has started.
std::map<std::string, std::string> own_threads() {
  std::map<std::string, std::string> found;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(thread.path() / "status");
    const std::string text{std::istreambuf_iterator<char>(status), std::istreambuf_iterator<char>()};
    const std::size_t begin = text.find("Name:\t") + 6;
    const std::string name = text.substr(begin, text.find('\n') - begin);
    if (name.starts_with("gpucnn-")) found[name] = text;
  }
  return found;
}

/// Calls parallel_for until so many threads of the library are there with their names.
std::map<std::string, std::string> start_threads(std::size_t workers) {
  std::map<std::string, std::string> found;
  for (int wait = 0; wait < 1000 && found.size() < workers; ++wait) {
    parallel_for(64, [](std::int64_t) { std::this_thread::sleep_for(std::chrono::microseconds(10)); });
    found = own_threads();
  }
  return found;
}

TEST(Threads, HaveNames) {
  const int before = num_threads();
  set_num_threads(3);
  const auto threads = start_threads(2);
  EXPECT_TRUE(threads.contains("gpucnn-1"));
  EXPECT_TRUE(threads.contains("gpucnn-2"));
  set_num_threads(before);
}

TEST(Threads, BlockEverySignal) {
  const int before = num_threads();
  set_num_threads(1);
  set_num_threads(3);
  const auto threads = start_threads(2);
  EXPECT_EQ(threads.size(), 2U);
  for (const auto& [name, status] : threads) {
    const std::uint64_t blocked = std::stoull(status.substr(status.find("SigBlk:") + 7), nullptr, 16);
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
      const bool never =
          signal == SIGKILL || signal == SIGSTOP || (signal >= 32 && signal < SIGRTMIN);  // the system's and the C library's
      EXPECT_EQ((blocked >> (signal - 1)) & 1U, never ? 0U : 1U) << name << ", signal " << signal;
    }
  }
  sigset_t mine;
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &mine), 0);
  EXPECT_EQ(sigismember(&mine, SIGTERM), 0);
  set_num_threads(before);
}

TEST(Threads, LeaveASignalToTheThreadThatWaitsForIt) {
  const int before = num_threads();
  set_num_threads(2);
  start_threads(1);
  sigset_t wanted, old;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &wanted, &old), 0);
  ASSERT_EQ(kill(getpid(), SIGTERM), 0);
  int signal = 0;
  EXPECT_EQ(sigwait(&wanted, &signal), 0);
  EXPECT_EQ(signal, SIGTERM);
  ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &old, nullptr), 0);
  set_num_threads(before);
}

TEST(Threads, AreMigratedOnlyOnRequest) {
  EXPECT_FALSE(core_migration());
  set_core_migration(true);
  EXPECT_TRUE(core_migration());
  set_core_migration(false);
  EXPECT_FALSE(core_migration());
}

TEST(Threads, WorkAfterAFailureIsDoneAsBefore) {
  EXPECT_THROW(parallel_for(100,
                            [](std::int64_t task) {
                              if (task == 7) throw std::runtime_error("seven");
                            }),
               std::runtime_error);
  std::atomic<std::int64_t> sum{0};
  parallel_for(100, [&](std::int64_t task) { sum += task; });
  EXPECT_EQ(sum.load(), 4950);
}

TEST(Threads, CountIsAtLeastOneAndBounded) {
  const int before = num_threads();
  EXPECT_GE(before, 1);
  for (const int wrong : {0, -1, 1025}) {
    EXPECT_THAT([&] { set_num_threads(wrong); },
                ThrowsMessage<std::invalid_argument>(HasSubstr("expects 1 to 1024, got " + std::to_string(wrong))));
  }
  EXPECT_EQ(num_threads(), before);
  set_num_threads(1024);
  EXPECT_EQ(num_threads(), 1024);
  set_num_threads(before);
}

}  // namespace
}  // namespace gpucnn
