#include <gpucnn/core/thread_team.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

namespace gpucnn {
namespace {

using Clock = std::chrono::steady_clock;

// Longer than the pauses between the kernels of a step: waking a sleeping thread made inference at batch 4 a third slower.
constexpr std::chrono::microseconds kSpin{200};

/// Whether this thread is running a task: work it calls for is its own.
thread_local bool in_task = false;

/// Lets the other hardware thread, or whoever else wants the processor, have a moment.
void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

ThreadTeam::~ThreadTeam() { end_workers(); }

void ThreadTeam::end_workers() {
  stopping_.store(true);
  state_.fetch_add(kNextJob);
  state_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
  stopping_.store(false);
}

void ThreadTeam::shrink(int threads) {
  if (in_task) return;
  const std::scoped_lock call(calls_);
  if (static_cast<int>(workers_.size()) >= threads && process_ == getpid()) end_workers();
}

void ThreadTeam::run(std::int64_t tasks, int threads, detail::TaskRef run) {
  const int workers = static_cast<int>(std::min<std::int64_t>(threads, tasks)) - 1;
  std::unique_lock<std::mutex> call(calls_, std::defer_lock);
  if (workers < 1 || in_task || !call.try_lock()) {
    for (std::int64_t task = 0; task < tasks; ++task) run(task, 0);
    return;
  }
  grow(workers);
  job_.run = &run;
  job_.tasks = tasks;
  job_.next.store(0, std::memory_order_relaxed);
  job_.failed.store(false, std::memory_order_relaxed);
  wanted_.store(workers, std::memory_order_relaxed);
  state_.store((state_.load(std::memory_order_relaxed) & ~(kNextJob - 1)) + kNextJob + kOpen, std::memory_order_release);
  state_.notify_all();
  take_tasks(0);
  std::uint64_t state = state_.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
  while (state & kJoined) {
    wait_while(state);
    state = state_.load(std::memory_order_acquire);
  }
  if (job_.failed.load(std::memory_order_relaxed)) std::rethrow_exception(std::exchange(job_.failure, nullptr));
}

void ThreadTeam::grow(int workers) {
  try {
    if (workers_.empty()) process_ = getpid();
    while (static_cast<int>(workers_.size()) < workers) {
      workers_.emplace_back([this, index = static_cast<int>(workers_.size())] { work(index); });
    }
  } catch (const std::system_error&) {
    // The system gives no more threads: those that are there, and the caller, do all the work.
  }
}

void ThreadTeam::work(int index) {
  std::uint64_t last_job = 0;
  while (!stopping_.load(std::memory_order_relaxed)) {
    std::uint64_t state = state_.load(std::memory_order_acquire);
    const std::uint64_t job = state / kNextJob;
    if (job == last_job || !join(state, index)) {
      wait_while(state);
      continue;
    }
    last_job = job;
    take_tasks(index + 1);
    state = state_.fetch_sub(1, std::memory_order_acq_rel) - 1;
    if (!(state & (kOpen | kJoined))) state_.notify_all();  // the caller waits for the last
  }
}

bool ThreadTeam::join(std::uint64_t state, int index) {
  return (state & kOpen) && index < wanted_.load(std::memory_order_relaxed) &&
         state_.compare_exchange_strong(state, state + 1, std::memory_order_acq_rel, std::memory_order_relaxed);
}

void ThreadTeam::take_tasks(int thread) noexcept {
  in_task = true;
  for (std::int64_t task; (task = job_.next.fetch_add(1, std::memory_order_relaxed)) < job_.tasks;) {
    if (job_.failed.load(std::memory_order_relaxed)) continue;
    try {
      (*job_.run)(task, thread);
    } catch (...) {
      if (!job_.failed.exchange(true)) job_.failure = std::current_exception();
    }
  }
  in_task = false;
}

void ThreadTeam::wait_while(std::uint64_t seen) {
  const auto give_up = Clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (state_.load(std::memory_order_acquire) != seen || stopping_.load(std::memory_order_relaxed)) return;
      pause();
    }
  } while (Clock::now() < give_up);
  state_.wait(seen, std::memory_order_acquire);
}

}  // namespace gpucnn
