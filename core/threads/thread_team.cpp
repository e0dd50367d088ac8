#include <gpucnn/core/threads/thread_team.h>

#include <pthread.h>
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

// An idle thread's: longer than the pauses between the kernels of a step, for waking a sleeping thread made inference at batch 4 a
// third slower. A caller waits longer for others to end their tasks, for nobody looks after them once it sleeps.
constexpr std::chrono::microseconds kSpin{200}, kCallerSpin{2000};

// From one look at whether a thread that is waited for has a core to the next, and how much of that it has had then at the least.
constexpr std::chrono::microseconds kLook{50}, kLeast{10};

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

void ThreadTeam::run(std::int64_t tasks, int threads, detail::TaskRef run) {
  threads = static_cast<int>(std::min<std::int64_t>(threads, tasks));
  std::unique_lock<std::mutex> call(calls_, std::defer_lock);
  if (threads < 2 || in_task || !call.try_lock() || closed_.load(std::memory_order_relaxed)) {
    for (std::int64_t task = 0; task < tasks; ++task) run(task, 0);
    return;
  }
  grow(threads);
  for (int thread = threads; thread-- > 0;) {
    Slot& slot = *slots_[static_cast<std::size_t>(thread)];
    slot.threads = threads;
    slot.next.store(tasks * thread / threads, std::memory_order_relaxed);
    slot.last = tasks * (thread + 1) / threads;
    slot.run = run;
  }
  for (int thread = 1; thread < threads; ++thread) {
    Slot& slot = *slots_[static_cast<std::size_t>(thread)];
    slot.phase.store(kOffered, std::memory_order_release);
    slot.phase.notify_one();
  }
  Slot& mine = *slots_.front();
  mine.thread.become_this();
  ++mine.call;
  mine.phase.store(kBegun, std::memory_order_release);
  take_tasks(0, threads);
  end_work(mine);
  for (int thread = 1; thread < threads; ++thread) {
    Slot& slot = *slots_[static_cast<std::size_t>(thread)];
    std::uint32_t phase = kOffered;
    if (slot.phase.compare_exchange_strong(phase, kIdle, std::memory_order_acq_rel)) continue;  // it never began
    while (phase == kBegun) phase = wait_while(slot, kBegun, &slot);
  }
  if (failed_.load(std::memory_order_relaxed)) {
    failed_.store(false, std::memory_order_relaxed);
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
}

void ThreadTeam::shrink(int threads) {
  // A forked child has no threads to end, and may have inherited a lock that nobody will open.
  if (in_task || process_.load(std::memory_order_relaxed) != getpid()) return;
  const std::scoped_lock call(calls_);
  if (static_cast<int>(slots_.size()) > threads) end_workers();
}

void ThreadTeam::close() noexcept {
  closed_.store(true, std::memory_order_relaxed);
  // A task may end the process; a forked child has no threads to end.
  if (in_task || process_.load(std::memory_order_relaxed) != getpid()) return;
  const std::unique_lock<std::mutex> call(calls_, std::try_to_lock);
  if (call) end_workers();
}

void ThreadTeam::end_workers() {
  for (const auto& slot : slots_) {
    slot->phase.store(kStop, std::memory_order_release);
    slot->phase.notify_one();
  }
  for (const auto& slot : slots_) {
    if (slot->worker.joinable()) slot->worker.join();
  }
  slots_.clear();
}

void ThreadTeam::grow(int threads) {
  if (static_cast<int>(slots_.size()) >= threads) return;
  if (slots_.empty()) process_.store(getpid(), std::memory_order_relaxed);
  const SignalsBlocked blocked;
  while (static_cast<int>(slots_.size()) < threads) {
    const int thread = static_cast<int>(slots_.size());
    Slot& slot = *slots_.emplace_back(std::make_unique<Slot>());
    try {
      if (thread > 0) slot.worker = std::thread([this, &slot, &caller = *slots_.front(), thread] { work(slot, caller, thread); });
    } catch (const std::system_error&) {
      // The system gives no more threads: those that are there, and the caller, do all the work.
    }
  }
}

void ThreadTeam::work(Slot& slot, Slot& caller, int thread) {
  const FloatEnvironment standard;  // a thread inherits that of whoever made it
  pthread_setname_np(pthread_self(), ("gpucnn-" + std::to_string(thread)).c_str());
  slot.thread.become_this();
  for (;;) {
    std::uint32_t phase = slot.phase.load(std::memory_order_acquire);
    if (phase == kStop) return;
    if (phase != kOffered) {
      wait_while(slot, phase, thread == 1 ? &caller : nullptr);  // one is enough to look at the caller
    } else if (slot.phase.compare_exchange_strong(phase, kBegun, std::memory_order_acq_rel)) {
      take_tasks(thread, slot.threads);
      end_work(slot);
      slot.phase.notify_one();  // the caller may be asleep
    }
  }
}

void ThreadTeam::end_work(Slot& slot) {
  for (int wait = 0;; ++wait) {
    std::uint32_t phase = kBegun;
    if (slot.phase.compare_exchange_strong(phase, kDone, std::memory_order_acq_rel)) return;
    if (phase == kMoved) {
      slot.thread.settle();
      slot.phase.store(kDone, std::memory_order_release);
      return;
    }
    // Somebody looks at this thread: for a microsecond, unless that one is preempted.
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
    Slot& slot = *slots_[static_cast<std::size_t>((thread + helped) % threads)];
    // Looks before it takes: where nothing is left, that would take the line away from the thread that is still at work.
    const auto take = [&slot] {
      return slot.next.load(std::memory_order_relaxed) < slot.last ? slot.next.fetch_add(1, std::memory_order_relaxed) : slot.last;
    };
    for (std::int64_t task; (task = take()) < slot.last;) {
      if (failed_.load(std::memory_order_relaxed)) continue;
      try {
        slot.run(task, thread);
      } catch (...) {
        if (!failed_.exchange(true)) failure_ = std::current_exception();
      }
    }
  }
  in_task = false;
}

std::uint32_t ThreadTeam::wait_while(const Slot& slot, std::uint32_t seen, Slot* busy) const {
  const bool calls = &slot == busy;
  Look last;
  const auto start = Clock::now();
  for (auto now = start, look = start + kLook; now - start < (calls ? kCallerSpin : kSpin); now = Clock::now()) {
    for (int i = 0; i < 64; ++i) {
      if (const std::uint32_t phase = slot.phase.load(std::memory_order_acquire); phase != seen) return phase;
      pause();
    }
    if (!busy || now < look) continue;
    look = now + kLook;
    const bool move = migrate();
    if (!is_preempted(*busy, last, move)) continue;
    if (move && calls) seen = kMoved;
    break;
  }
  slot.phase.wait(seen, std::memory_order_acquire);
  return slot.phase.load(std::memory_order_acquire);
}

bool ThreadTeam::is_preempted(Slot& busy, Look& last, bool move) {
  std::uint32_t phase = busy.phase.load(std::memory_order_relaxed);
  if (phase != kBegun || !busy.phase.compare_exchange_strong(phase, kLookedAt, std::memory_order_acq_rel)) return false;
  const Look before = std::exchange(last, {busy.thread.cpu_time(), busy.call});
  const bool preempted = last.call == before.call && last.ran - before.ran < kLeast;
  if (preempted && move) busy.thread.bring_here();
  busy.phase.store(preempted && move ? kMoved : kBegun, std::memory_order_release);
  return preempted;
}

}  // namespace gpucnn
