#include <gpucnn/core/thread_team.h>

#include <sys/resource.h>
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

/// Whether others want this process' processors: callers have waited long, and not once, for threads that had begun a task, while
/// the system put threads of this process aside. Then a thread hardly spins, and a caller waits in naps: a processor that goes idle
/// takes over a thread that waits for another one, but not one that ran a moment ago.
class Crowding {
 public:
  static constexpr std::chrono::microseconds kSpin{5}, kNap{100}, kMostNaps{5000};

  bool lasts(Clock::time_point now) const { return now.time_since_epoch().count() < until_.load(std::memory_order_relaxed); }

  void note_wait(Clock::time_point from, Clock::time_point to) {
    constexpr std::chrono::microseconds kLong{200}, kTogether{30'000}, kStays{300'000};
    if (to - from < kLong) return;
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    if (interruptions_.exchange(usage.ru_nivcsw, std::memory_order_relaxed) == usage.ru_nivcsw) return;
    const Clock::time_point last(Clock::duration(last_.exchange(to.time_since_epoch().count(), std::memory_order_relaxed)));
    if (from - last < kTogether) until_.store((to + kStays).time_since_epoch().count(), std::memory_order_relaxed);
  }

 private:
  std::atomic<Clock::rep> last_{0}, until_{0};
  std::atomic<long> interruptions_{0};
};
Crowding crowding;

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
  if (threads < 2 || in_task || !call.try_lock()) {
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
  take_tasks(0, threads);
  for (int thread = 1; thread < threads; ++thread) {
    Slot& slot = *slots_[static_cast<std::size_t>(thread)];
    std::uint32_t phase = kOffered;
    if (slot.phase.compare_exchange_strong(phase, kIdle, std::memory_order_acq_rel)) continue;  // it never began
    while (phase == kBegun) phase = wait_while(slot, kBegun);
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
  if (slots_.empty()) process_.store(getpid(), std::memory_order_relaxed);
  while (static_cast<int>(slots_.size()) < threads) {
    const int thread = static_cast<int>(slots_.size());
    Slot& slot = *slots_.emplace_back(std::make_unique<Slot>());
    try {
      if (thread > 0) slot.worker = std::thread([this, &slot, thread] { work(slot, thread); });
    } catch (const std::system_error&) {
      // The system gives no more threads: those that are there, and the caller, do all the work.
    }
  }
}

void ThreadTeam::work(Slot& slot, int thread) {
  for (;;) {
    std::uint32_t phase = slot.phase.load(std::memory_order_acquire);
    if (phase == kStop) return;
    if (phase != kOffered) {
      wait_while(slot, phase);
    } else if (slot.phase.compare_exchange_strong(phase, kBegun, std::memory_order_acq_rel)) {
      take_tasks(thread, slot.threads);
      slot.phase.store(kDone, std::memory_order_release);
      slot.phase.notify_one();  // the caller may be asleep
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

std::uint32_t ThreadTeam::wait_while(const Slot& slot, std::uint32_t seen) {
  const auto phase = [&slot] { return slot.phase.load(std::memory_order_acquire); };
  const auto start = Clock::now();
  const bool crowded = crowding.lasts(start);
  auto now = start;
  for (const auto give_up = start + (crowded ? Crowding::kSpin : kSpin); now < give_up; now = Clock::now()) {
    for (int i = 0; i < 64; ++i) {
      if (const std::uint32_t changed = phase(); changed != seen) return changed;
      pause();
    }
  }
  if (seen == kBegun && crowded) {
    while (phase() == seen && Clock::now() - now < Crowding::kMostNaps) std::this_thread::sleep_for(Crowding::kNap);
  }
  slot.phase.wait(seen, std::memory_order_acquire);
  if (seen == kBegun) crowding.note_wait(start, Clock::now());
  return phase();
}

}  // namespace gpucnn
