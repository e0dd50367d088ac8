#include <gpucnn/data/prefetcher.h>

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/core/threads/signals_blocked.h>
#include <gpucnn/core/threads/works_alone.h>

namespace gpucnn {

struct Prefetcher::State {
  struct Slot {
    Batch batch;
    std::exception_ptr failure;
    bool is_done = false;
  };

  State(std::int64_t ahead, std::int64_t first, std::int64_t end_, Fetch fetch_)
      : fetch(std::move(fetch_)), end(end_), slots(static_cast<std::size_t>(ahead)), begun(first), taken(first) {}

  /// Ends the threads, also where the constructor of Prefetcher throws after the first of them.
  ~State() {
    {
      const std::scoped_lock lock(mutex);
      is_ended = true;
    }
    room.notify_all();
    for (std::thread& thread : threads) thread.join();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Slot& slot(std::int64_t batch) { return slots[static_cast<std::size_t>(batch) % slots.size()]; }

  /// A worker's life.
  void work() {
    const FloatEnvironment standard;  // a thread inherits that of whoever made it
    std::unique_lock lock(mutex);
    for (;;) {
      room.wait(lock, [this] { return is_ended || begun == end || begun - taken < static_cast<std::int64_t>(slots.size()); });
      if (is_ended || begun == end) return;
      const std::int64_t batch = begun++;
      lock.unlock();
      Slot fetched{{}, nullptr, true};
      try {
        const WorksAlone beside_the_step;
        fetched.batch = fetch(batch);
      } catch (...) {
        fetched.failure = std::current_exception();
      }
      lock.lock();
      slot(batch) = std::move(fetched);
      ready.notify_one();
    }
  }

  const Fetch fetch;
  const std::int64_t end;
  std::mutex mutex;
  std::condition_variable ready, room;
  std::vector<Slot> slots;    // of the batches [taken, taken + slots.size())
  std::int64_t begun, taken;  // the next batch to fetch, and to take
  bool is_ended = false;
  std::vector<std::thread> threads;
};

Prefetcher::Prefetcher(int workers, std::int64_t ahead, std::int64_t first, std::int64_t end, Fetch fetch)
    : state_(std::make_unique<State>(std::min(ahead, std::max<std::int64_t>(1, end - first)), first, end, std::move(fetch))),
      next_(first),
      process_(getpid()) {
  const SignalsBlocked blocked;
  state_->threads.reserve(static_cast<std::size_t>(workers));
  for (int worker = 0; worker < workers && worker < end - first; ++worker) {
    try {
      state_->threads.emplace_back([state = state_.get(), worker] {
        pthread_setname_np(pthread_self(), ("gpucnn-load-" + std::to_string(worker)).substr(0, 15).c_str());
        state->work();
      });
    } catch (const std::system_error&) {
      return;  // the system gives no more threads
    }
  }
}

Prefetcher::~Prefetcher() {
  // The threads of a forked child are another process's, and so is whatever lock they held when this one was forked.
  if (!is_here()) static_cast<void>(state_.release());  // NOLINT(bugprone-unused-return-value): left as it is
}

bool Prefetcher::is_here() const noexcept { return process_ == getpid(); }

Batch Prefetcher::next() {
  if (state_->threads.empty()) {
    Batch batch = state_->fetch(next_);
    ++next_;
    return batch;
  }
  std::unique_lock lock(state_->mutex);
  State::Slot& slot = state_->slot(next_);
  state_->ready.wait(lock, [&] { return slot.is_done; });
  State::Slot taken = std::exchange(slot, {});
  state_->taken = ++next_;
  lock.unlock();
  state_->room.notify_one();
  if (taken.failure) std::rethrow_exception(std::move(taken.failure));
  return std::move(taken.batch);
}

}  // namespace gpucnn
