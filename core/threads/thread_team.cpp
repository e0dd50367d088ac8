#include <gpucnn/core/threads/thread_team.h>

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/core/threads/signals_blocked.h>

namespace gpucnn {
namespace {

using Clock = std::chrono::steady_clock;

// How long an idle thread spins: longer than the pauses between the kernels of a step. Waking a sleeping thread instead made
// inference at batch 4 a third slower. A caller spins longer, because preempted workers are migrated only while it spins.
constexpr std::chrono::microseconds kSpin{200}, kCallerSpin{2000};

// How often a waiter looks whether the other thread is preempted, and the CPU time between two looks below which it is.
constexpr std::chrono::microseconds kLookInterval{50}, kMinProgress{10};

// How long a worker may not begin while the caller works. A new thread, or one that wakes, may wait for the caller's core although
// another one is idle. The system then balanced them after up to 0.2 s.
constexpr std::chrono::microseconds kMaxIdle{200};

/// Whether this thread is running a task, or works alone by intention: a nested call then runs on it alone.
thread_local bool in_task = false;

/// Yields to the other hardware thread for a moment.
void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

/// Counts a caller that works alone.
class Alone {
 public:
  explicit Alone(std::atomic<int>& count) : count_(count) { count_.fetch_add(1, std::memory_order_relaxed); }
  ~Alone() { count_.fetch_sub(1, std::memory_order_relaxed); }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;

 private:
  std::atomic<int>& count_;
};

}  // namespace

ThreadTeam::~ThreadTeam() { end_workers(); }

void ThreadTeam::run(std::int64_t tasks, int threads, detail::TaskRef run) {
  const auto run_alone = [&] {
    for (std::int64_t task = 0; task < tasks; ++task) run(task, 0);
  };
  if (threads < 2 || tasks < 2 || in_task) return run_alone();
  // Those who work alone have a core each, for which a thread of the team would only compete.
  const int cores = threads - alone_.load(std::memory_order_relaxed);
  threads = static_cast<int>(std::min<std::int64_t>(cores, tasks));
  std::unique_lock<std::mutex> call(calls_, std::defer_lock);
  if (threads < 2 || !call.try_lock() || closed_.load(std::memory_order_relaxed)) {
    const Alone counted(alone_);
    return run_alone();
  }
  grow(threads);
  const int core = migrate() ? sched_getcpu() : -1;
  for (int thread = threads; thread-- > 0;) {
    Worker& worker = *workers_[static_cast<std::size_t>(thread)];
    worker.threads = threads;
    worker.callers_core = core;
    worker.next.store(tasks * thread / threads, std::memory_order_relaxed);
    worker.last = tasks * (thread + 1) / threads;
    worker.run = run;
  }
  for (int thread = 1; thread < threads; ++thread) {
    Worker& worker = *workers_[static_cast<std::size_t>(thread)];
    worker.phase.store(kOffered, std::memory_order_release);
    worker.phase.notify_one();
  }
  Worker& mine = *workers_.front();
  mine.at_work.become_this();
  ++mine.call;
  mine.phase.store(kBegun, std::memory_order_release);
  take_tasks(0, threads);
  end_work(mine);
  for (int thread = 1; thread < threads; ++thread) {
    Worker& worker = *workers_[static_cast<std::size_t>(thread)];
    std::uint32_t phase = kOffered;
    if (worker.phase.compare_exchange_strong(phase, kIdle, std::memory_order_acq_rel)) {
      note_idle(worker);  // it never began
      continue;
    }
    worker.idle_since.reset();
    while (phase == kBegun) phase = wait_while(worker, kBegun, &worker);
  }
  if (failed_.load(std::memory_order_relaxed)) {
    failed_.store(false, std::memory_order_relaxed);
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
}

void ThreadTeam::note_idle(Worker& worker) const {
  if (!migrate() || !worker.thread.joinable()) return;
  const auto now = Clock::now();
  if (!worker.idle_since) worker.idle_since = now;
  if (now - *worker.idle_since < kMaxIdle) return;
  leave_this_core(worker.thread.native_handle());
  worker.idle_since = now;
}

bool ThreadTeam::begin_alone() noexcept {
  if (in_task) return false;
  in_task = true;
  alone_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void ThreadTeam::end_alone() noexcept {
  alone_.fetch_sub(1, std::memory_order_relaxed);
  in_task = false;
}

void ThreadTeam::shrink(int threads) {
  // A forked child has no threads to end, and may have inherited a lock that nobody will open.
  if (in_task || process_.load(std::memory_order_relaxed) != getpid()) return;
  const std::scoped_lock call(calls_);
  if (static_cast<int>(workers_.size()) > threads) end_workers();
}

void ThreadTeam::close() noexcept {
  closed_.store(true, std::memory_order_relaxed);
  // A task may end the process; a forked child has no threads to end.
  if (in_task || process_.load(std::memory_order_relaxed) != getpid()) return;
  const std::unique_lock<std::mutex> call(calls_, std::try_to_lock);
  if (call) end_workers();
}

void ThreadTeam::end_workers() {
  for (const auto& worker : workers_) {
    worker->phase.store(kStop, std::memory_order_release);
    worker->phase.notify_one();
  }
  for (const auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
  workers_.clear();
}

void ThreadTeam::grow(int threads) {
  if (static_cast<int>(workers_.size()) >= threads) return;
  if (workers_.empty()) process_.store(getpid(), std::memory_order_relaxed);
  const SignalsBlocked blocked;
  while (static_cast<int>(workers_.size()) < threads) {
    const int thread = static_cast<int>(workers_.size());
    Worker& worker = *workers_.emplace_back(std::make_unique<Worker>());
    try {
      if (thread > 0)
        worker.thread = std::thread([this, &worker, &caller = *workers_.front(), thread] { work(worker, caller, thread); });
    } catch (const std::system_error&) {
      // The system gives no more threads: the caller and the others do all the work.
    }
  }
}

void ThreadTeam::work(Worker& worker, Worker& caller, int thread) {
  const FloatEnvironment standard;  // a thread inherits that of whoever made it
  pthread_setname_np(pthread_self(), ("gpucnn-" + std::to_string(thread)).c_str());
  worker.at_work.become_this();
  for (;;) {
    std::uint32_t phase = worker.phase.load(std::memory_order_acquire);
    if (phase == kStop) return;
    if (phase != kOffered) {
      wait_while(worker, phase, thread == 1 ? &caller : nullptr);  // one worker that watches the caller is enough
    } else if (worker.phase.compare_exchange_strong(phase, kBegun, std::memory_order_acq_rel)) {
      // There the two would take turns.
      if (worker.callers_core >= 0 && sched_getcpu() == worker.callers_core) leave_this_core(pthread_self());
      take_tasks(thread, worker.threads);
      end_work(worker);
      worker.phase.notify_one();  // the caller may be asleep
    }
  }
}

void ThreadTeam::end_work(Worker& worker) {
  for (int wait = 0;; ++wait) {
    std::uint32_t phase = kBegun;
    if (worker.phase.compare_exchange_strong(phase, kDone, std::memory_order_acq_rel)) return;
    if (phase == kMoved) {
      worker.at_work.settle();
      worker.phase.store(kDone, std::memory_order_release);
      return;
    }
    // Another thread looks at this one. That takes a microsecond, unless it is preempted itself.
    if (wait < 100) {
      pause();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(10));
    }
  }
}

void ThreadTeam::take_tasks(int thread, int threads) noexcept {
  in_task = true;
  for (int helped = 0; helped < threads; ++helped) {
    Worker& worker = *workers_[static_cast<std::size_t>((thread + helped) % threads)];
    // Tests before fetch_add: where nothing is left, that would steal the cache line of a worker that is still at work.
    const auto take = [&worker] {
      return worker.next.load(std::memory_order_relaxed) < worker.last ? worker.next.fetch_add(1, std::memory_order_relaxed)
                                                                       : worker.last;
    };
    for (std::int64_t task; (task = take()) < worker.last;) {
      if (failed_.load(std::memory_order_relaxed)) continue;
      try {
        worker.run(task, thread);
      } catch (...) {
        if (!failed_.exchange(true)) failure_ = std::current_exception();
      }
    }
  }
  in_task = false;
}

std::uint32_t ThreadTeam::wait_while(const Worker& worker, std::uint32_t seen, Worker* busy) const {
  const bool calls = &worker == busy;
  Look last;
  const auto start = Clock::now();
  for (auto now = start, look = start + kLookInterval; now - start < (calls ? kCallerSpin : kSpin); now = Clock::now()) {
    for (int i = 0; i < 64; ++i) {
      if (const std::uint32_t phase = worker.phase.load(std::memory_order_acquire); phase != seen) return phase;
      pause();
    }
    if (!busy || now < look) continue;
    look = now + kLookInterval;
    const bool move = migrate();
    if (!is_preempted(*busy, last, move)) continue;
    if (move && calls) seen = kMoved;
    break;
  }
  worker.phase.wait(seen, std::memory_order_acquire);
  return worker.phase.load(std::memory_order_acquire);
}

bool ThreadTeam::is_preempted(Worker& busy, Look& last, bool move) {
  std::uint32_t phase = busy.phase.load(std::memory_order_relaxed);
  if (phase != kBegun || !busy.phase.compare_exchange_strong(phase, kLookedAt, std::memory_order_acq_rel)) return false;
  const Look before = std::exchange(last, {busy.at_work.cpu_time(), busy.call});
  const bool preempted = last.call == before.call && last.ran - before.ran < kMinProgress;
  if (preempted && move) busy.at_work.bring_here();
  busy.phase.store(preempted && move ? kMoved : kBegun, std::memory_order_release);
  return preempted;
}

}  // namespace gpucnn
