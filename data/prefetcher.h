#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include <gpucnn/data/batch.h>

namespace gpucnn {

/// Threads that fetch the numbered batches of a walk ahead of whoever takes them, in order.
///
/// At most `ahead` batches are fetched and not yet taken. Which worker fetches a batch is open, so a batch must not depend on it.
/// One thread at a time takes batches. Where the system gives no threads, `next` fetches them itself.
class Prefetcher {
 public:
  using Fetch = std::function<Batch(std::int64_t batch)>;

  /// For the batches [first, end); workers and ahead are >= 1. `fetch` is called by several threads at once. It owns all that it
  /// needs, or refers to what outlives this object.
  Prefetcher(int workers, std::int64_t ahead, std::int64_t first, std::int64_t end, Fetch fetch);

  /// Begins no further batch, waits for those under way, and ends the threads.
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The number of the batch that `next` gives. REQUIRES: below `end`.
  std::int64_t next_number() const noexcept { return next_; }

  /// Waits for the next batch, or throws what its `fetch` threw.
  Batch next();

  /// Whether the workers are this process's: a forked child has none.
  bool is_here() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
  std::int64_t next_;
  int process_;
};

}  // namespace gpucnn
