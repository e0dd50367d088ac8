#include "emulator.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "device_language.h"
#include "fiber.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace gpucnn::emulator {
namespace {

/// Memory that the threads of a block share.
struct SharedArray {
  const SharedSite* site;  // null: the dynamic one
  std::size_t bytes;
  std::unique_ptr<void, void (*)(void*)> memory;
  std::uint64_t block = 0;

  void fill_for(std::uint64_t new_block) {
    block = new_block;
    auto* to = static_cast<unsigned char*>(memory.get());
    for (std::size_t i = 0; i < bytes; ++i) {
      to[i] = 0xFF;
      // Or the compiler makes it a call of memset, which ThreadSanitizer takes for writes of the thread that is first here.
      if constexpr (kThreadSanitizer) asm volatile("" ::: "memory");
    }
  }
};

/// Where threads of one warp wait for each other: those of a mask.
struct Meeting {
  std::uint32_t mask;
  const char* operation = nullptr;
  std::uint32_t came = 0;
  // A lane can be one turn ahead of another that has not read its values yet.
  int turn = 0;
  WarpValues values[2][kMaxMeetingValues] = {};
  void* sync[2] = {};
  std::uint64_t block = 0;
};

/// Addresses that stand for synchronisations, for ThreadSanitizer. Each is used in one block only, or the barriers of one block
/// would seem to order it before another.
class SyncObjects {
 public:
  void* take() {
    if constexpr (!kThreadSanitizer) return nullptr;
    if (!cells_) cells_ = std::make_unique_for_overwrite<std::uint64_t[]>(kCount);
    return &cells_[next_ < kCount - 1 ? next_++ : next_];
  }
  bool used_up() const { return next_ > kCount / 2; }
  void forget() {
    cells_.reset();  // what is known of memory goes with it
    next_ = 0;
  }

 private:
  static constexpr std::size_t kCount = 1 << 13;
  std::unique_ptr<std::uint64_t[]> cells_;
  std::size_t next_ = 0;
};

/// A fiber that runs one thread after another, as long as none has to wait.
struct Worker {
  Worker();

  Fiber fiber;
  int thread = -1;  // to run next
  std::uint64_t epoch = 0;
};

class Emulator {
 public:
  void run(Kernel& kernel);
  void work(Worker& self);

  void* shared(const SharedSite* site, std::size_t bytes);
  int compute_capability() const { return kernel_ ? kernel_->compute_capability : 0; }
  std::size_t dynamic_shared_bytes() const { return kernel_ ? kernel_->shared_bytes : 0; }
  int block_barrier(bool predicate);
  const WarpValues* meet(const char* operation, std::uint32_t mask, std::span<const std::uint64_t> values, bool orders_memory);
  const SharedArray* shared_array(const void* address) const;

  struct Thread {
    Fiber* fiber = nullptr;
    const char* waits_for = nullptr;
    bool waited_for_previous = false;
    // Copies that it has asked for: those before `copies_made` are made. Groups are counted from 1; 0 is of none yet.
    std::vector<AsyncCopy> copies;
    std::size_t copies_made = 0;
    std::int64_t groups = 0;
  };
  /// The one that runs; fails outside a kernel, where nobody can `what`.
  Thread& running_thread(const char* what);
  [[noreturn]] void fail(std::string_view what) const;

 private:
  void begin_epoch();
  void end_epoch();
  void begin_block(std::uint32_t block);
  void end_block();
  void end_thread();

  std::unique_ptr<void, void (*)(void*)> allocate_shared(std::size_t bytes);
  int in_order(int index, int count) const { return reverse_ ? count - 1 - index : index; }
  Fiber& next_fiber();
  Worker& worker_for(int thread);
  void make_ready(int thread);
  void wait_for(const char* what);
  Meeting& meeting(int warp, std::uint32_t mask);
  [[noreturn]] void stuck() const;

  const bool reverse_ = [] {
    const char* order = std::getenv("GPUCNN_EMULATOR_ORDER");
    return order && std::string_view(order) == "reverse";
  }();

  Kernel* kernel_ = nullptr;
  Fiber main_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<Worker*> idle_;

  // An epoch is a number of blocks that run side by side as far as ThreadSanitizer knows.
  std::uint64_t epoch_ = 0;
  char epoch_begin_ = 0, epoch_end_ = 0;
  SyncObjects sync_objects_;
  // Shared memory for ThreadSanitizer: to it malloc is a write by the thread that calls it, so all comes from one piece.
  static constexpr std::size_t kArenaBytes = std::size_t{8} << 20;
  std::unique_ptr<std::byte[]> arena_{kThreadSanitizer ? new std::byte[kArenaBytes] : nullptr};
  std::size_t arena_used_ = 0;

  // the block
  std::uint64_t block_ = 0;  // counted over all kernels
  std::vector<SharedArray> shared_;
  std::array<Thread, kMaxThreads> threads_;
  std::array<int, kMaxThreads> ready_{};  // a ring
  int ready_first_ = 0, ready_count_ = 0;
  int started_ = 0, ended_ = 0, running_ = -1;
  int arrived_ = 0, true_predicates_ = 0, last_true_predicates_ = 0, barrier_turn_ = 0;
  void* barrier_sync_[2] = {};
  std::array<std::deque<Meeting>, kMaxThreads / kWarp> meetings_;
};

Emulator& emulator() {
  static Emulator& the = *new Emulator;
  return the;
}

Worker::Worker() : fiber([](void* self) { emulator().work(*static_cast<Worker*>(self)); }, this) {}

// ---- blocks ----------------------------------------------------------------------------------------------------------

void Emulator::run(Kernel& kernel) {
  kernel_ = &kernel;
  main_.adopt_caller();
  blockDim = dim3(static_cast<unsigned>(kernel.threads));
  gridDim = dim3(kernel.blocks);
  begin_epoch();
  for (std::uint32_t block = 0; block < kernel.blocks; ++block) {
    begin_block(block);
    main_.switch_to(next_fiber());
    end_block();
  }
  end_epoch();
  shared_.clear();
  kernel_ = nullptr;
}

void Emulator::begin_epoch() {
  ++epoch_;
  Fiber::release(&epoch_begin_);
}

void Emulator::end_epoch() {
  if constexpr (kThreadSanitizer) {
    for (const auto& worker : workers_) {
      if (worker->epoch == epoch_) worker->fiber.tell_release(&epoch_end_, main_);
    }
    Fiber::acquire(&epoch_end_);
    sync_objects_.forget();
    arena_used_ = 0;
  }
}

void Emulator::begin_block(std::uint32_t block) {
  ++block_;
  blockIdx = {block, 0, 0};
  started_ = ended_ = 0;
  for (void*& object : barrier_sync_) object = sync_objects_.take();
}

void Emulator::end_block() {
  running_ = -1;
  if constexpr (kThreadSanitizer) {
    shared_.clear();  // the next block may run at the same time, so it gets memory of its own
    if (arena_used_ > kArenaBytes - 2 * kMaxShared || sync_objects_.used_up()) {
      end_epoch();
      begin_epoch();
    }
  }
}

std::unique_ptr<void, void (*)(void*)> Emulator::allocate_shared(std::size_t bytes) {
  if constexpr (kThreadSanitizer) {
    void* memory = arena_.get() + arena_used_;
    arena_used_ += (bytes + 15) / 16 * 16;
    return {memory, [](void*) {}};
  }
  void* memory = nullptr;
  if (posix_memalign(&memory, 16, bytes) != 0) fail("no memory for shared memory");
  return {memory, std::free};
}

void* Emulator::shared(const SharedSite* site, std::size_t bytes) {
  std::size_t fixed = site ? bytes : 0;
  for (SharedArray& array : shared_) {
    if (array.site == site) {
      if (array.block != block_) array.fill_for(block_);
      return array.memory.get();
    }
    if (array.site) fixed += array.bytes;
  }
  if (fixed > kMaxStaticShared) fail("more than 48 KiB of static shared memory");
  if (const std::size_t all = fixed + dynamic_shared_bytes(); all > kernel_->max_shared_bytes) {
    fail(fmt::format("{} bytes of shared memory, static and dynamic, where the launch allows {}", all, kernel_->max_shared_bytes));
  }
  shared_.push_back({site, bytes, allocate_shared(bytes)});
  shared_.back().fill_for(block_);
  return shared_.back().memory.get();
}

const SharedArray* Emulator::shared_array(const void* address) const {
  for (const SharedArray& array : shared_) {
    const auto* first = static_cast<const char*>(array.memory.get());
    if (array.block == block_ && address >= first && address < first + array.bytes) return &array;
  }
  return nullptr;
}

// ---- threads ---------------------------------------------------------------------------------------------------------

void Emulator::work(Worker& self) {
  for (;;) {
    running_ = self.thread;
    threadIdx = {static_cast<unsigned>(running_), 0, 0};
    threads_[static_cast<std::size_t>(running_)].fiber = &self.fiber;
    if (self.epoch != epoch_) Fiber::acquire(&epoch_begin_);
    self.epoch = epoch_;
    kernel_->call();
    end_thread();
    ++ended_;
    // For ThreadSanitizer every thread of a block is a fiber, or it would see no race between two threads.
    if (!kThreadSanitizer && ready_count_ == 0 && started_ < kernel_->threads) {
      self.thread = in_order(started_++, kernel_->threads);
      continue;
    }
    if constexpr (!kThreadSanitizer) idle_.push_back(&self);
    self.fiber.switch_to(next_fiber());
  }
}

/// What a kernel's end must not leave undone.
void Emulator::end_thread() {
  Thread& thread = running_thread("end");
  if (thread.copies_made < thread.copies.size()) fail("ends with an async_copy that it has not waited for");
  if (kernel_->overlaps_previous && !thread.waited_for_previous) {
    fail("ends without wait_for_previous_kernel(), though its launch overlaps the kernel before");
  }
  thread.waited_for_previous = false;
  thread.groups = 0;
}

Emulator::Thread& Emulator::running_thread(const char* what) {
  if (running_ < 0) fail(fmt::format("{} outside a kernel", what));
  return threads_[static_cast<std::size_t>(running_)];
}

/// Whom to switch to: a thread that need not wait any more, else one that has not begun, else back to `run`.
Fiber& Emulator::next_fiber() {
  if (ready_count_ > 0) {
    const int thread = ready_[static_cast<std::size_t>(ready_first_)];
    ready_first_ = (ready_first_ + 1) % kMaxThreads;
    --ready_count_;
    return *threads_[static_cast<std::size_t>(thread)].fiber;
  }
  if (started_ < kernel_->threads) {
    const int thread = in_order(started_++, kernel_->threads);
    Worker& worker = worker_for(thread);
    worker.thread = thread;
    return worker.fiber;
  }
  if (ended_ < kernel_->threads) stuck();
  return main_;
}

Worker& Emulator::worker_for(int thread) {
  if constexpr (kThreadSanitizer) {
    // Another fiber for the same thread of the next block: races between blocks show too.
    const auto count = static_cast<std::size_t>(kernel_->threads);
    while (workers_.size() < count) workers_.push_back(std::make_unique<Worker>());
    return *workers_[(static_cast<std::size_t>(thread) + block_) % count];
  }
  if (idle_.empty()) {
    workers_.push_back(std::make_unique<Worker>());
    return *workers_.back();
  }
  Worker& worker = *idle_.back();
  idle_.pop_back();
  return worker;
}

void Emulator::make_ready(int thread) {
  ready_[static_cast<std::size_t>((ready_first_ + ready_count_++) % kMaxThreads)] = thread;
  threads_[static_cast<std::size_t>(thread)].waits_for = nullptr;
}

/// Comes back when somebody has made the running thread ready, and its turn has come.
void Emulator::wait_for(const char* what) {
  const int thread = running_;
  Fiber& self = *threads_[static_cast<std::size_t>(thread)].fiber;
  if (what) threads_[static_cast<std::size_t>(thread)].waits_for = what;
  Fiber& next = next_fiber();
  if (&next != &self) self.switch_to(next);
  running_ = thread;
  threadIdx = {static_cast<unsigned>(thread), 0, 0};
}

// ---- what threads wait for -------------------------------------------------------------------------------------------

int Emulator::block_barrier(bool predicate) {
  if (running_ < 0) fail("a barrier outside a kernel");
  void* const sync = barrier_sync_[barrier_turn_ & 1];
  Fiber::release(sync);
  true_predicates_ += predicate ? 1 : 0;
  const bool last = ++arrived_ == kernel_->threads;
  if (last) {
    arrived_ = 0;
    ++barrier_turn_;
    last_true_predicates_ = std::exchange(true_predicates_, 0);
    for (int i = 0; i < kernel_->threads; ++i) make_ready(in_order(i, kernel_->threads));
  }
  wait_for(last ? nullptr : "__syncthreads()");
  Fiber::acquire(sync);
  return last_true_predicates_;
}

Meeting& Emulator::meeting(int warp, std::uint32_t mask) {
  auto& meetings = meetings_[static_cast<std::size_t>(warp)];
  auto found = meetings.begin();
  while (found != meetings.end() && found->mask != mask) ++found;
  if (found == meetings.end()) {
    meetings.push_back({.mask = mask});
    found = meetings.end() - 1;
  }
  if (found->block != block_) {
    found->block = block_;
    for (void*& object : found->sync) object = sync_objects_.take();
  }
  return *found;
}

const WarpValues* Emulator::meet(const char* operation, std::uint32_t mask, std::span<const std::uint64_t> values,
                                 bool orders_memory) {
  if (running_ < 0) fail("a warp operation outside a kernel");
  const int warp = running_ / kWarp, lane = running_ % kWarp;
  const int lanes = std::min(kWarp, kernel_->threads - warp * kWarp);
  if ((mask >> lane & 1U) == 0) fail(fmt::format("{} with the mask {:#010x}, which leaves out the caller", operation, mask));
  if (lanes < kWarp && mask >> lanes != 0) {
    fail(fmt::format("{} with the mask {:#010x}, and the warp has {} threads", operation, mask, lanes));
  }
  Meeting& here = meeting(warp, mask);
  if (here.came != 0 && std::strcmp(here.operation, operation) != 0) {
    fail(fmt::format("{}, where other threads of the warp are at {}", operation, here.operation));
  }
  here.operation = operation;
  const int turn = here.turn & 1;
  for (std::size_t i = 0; i < values.size(); ++i) here.values[turn][i][lane] = values[i];
  if (orders_memory) Fiber::release(here.sync[turn]);
  here.came |= 1U << lane;
  const bool last = here.came == mask;
  if (last) {
    here.came = 0;
    ++here.turn;
    for (int i = 0; i < kWarp; ++i) {
      const int other = in_order(i, kWarp);
      if (mask >> other & 1U) make_ready(warp * kWarp + other);
    }
  }
  wait_for(last ? nullptr : operation);
  if (orders_memory) Fiber::acquire(here.sync[turn]);
  return here.values[turn];
}

// ---- failures --------------------------------------------------------------------------------------------------------

void Emulator::stuck() const {
  std::string waiting;
  for (int i = 0; i < kernel_->threads; ++i) {
    const char* what = threads_[static_cast<std::size_t>(i)].waits_for;
    if (!what) continue;
    waiting = fmt::format("thread {} waits at {}", i, what);
    break;
  }
  fail(fmt::format("a deadlock: {}, {} of the block's {} threads have ended, and nobody else can go on", waiting, ended_,
                   kernel_->threads));
}

void Emulator::fail(std::string_view what) const {
  std::string where = "no kernel";
  if (kernel_) where = fmt::format("kernel {}, block {}", kernel_->name, blockIdx.x);
  if (running_ >= 0) where += fmt::format(", thread {}", running_);
  std::fputs(fmt::format("emulator: {}: {}\n", where, what).c_str(), stderr);
  std::abort();
}

}  // namespace

void run(Kernel& kernel) { emulator().run(kernel); }

void* shared_memory(const SharedSite& site, std::size_t bytes) { return emulator().shared(&site, bytes); }

void* dynamic_shared_memory() { return emulator().shared(nullptr, emulator().dynamic_shared_bytes()); }

int block_barrier(bool predicate) { return emulator().block_barrier(predicate); }

const WarpValues* warp_meeting(const char* operation, std::uint32_t mask, std::span<const std::uint64_t> values,
                               bool orders_memory) {
  return emulator().meet(operation, mask, values, orders_memory);
}

void require_capability_8(const char* operation) {
  const int here = emulator().compute_capability();
  if (here < 80)
    emulator().fail(fmt::format("{} needs compute capability 8.0, and this GPU has {}.{}", operation, here / 10, here % 10));
}

bool is_shared(const void* address) { return emulator().shared_array(address) != nullptr; }

void require_shared(const char* operation, const void* address, std::size_t bytes) {
  const SharedArray* array = emulator().shared_array(address);
  if (!array) emulator().fail(fmt::format("{} at an address that is not in the block's shared memory", operation));
  const auto* end = static_cast<const char*>(array->memory.get()) + array->bytes;
  if (!kAddressSanitizer && static_cast<const char*>(address) + bytes > end) {
    emulator().fail(fmt::format("{} goes beyond an array in shared memory", operation));
  }
}

void add_async_copy(const AsyncCopy& copy) { emulator().running_thread("async_copy").copies.push_back(copy); }

void commit_async_copies() {
  auto& thread = emulator().running_thread("async_copy_commit");
  ++thread.groups;
  for (std::size_t i = thread.copies.size(); i-- > thread.copies_made && thread.copies[i].group == 0;) {
    thread.copies[i].group = thread.groups;
  }
}

bool take_async_copy(int pending, AsyncCopy* copy) {
  auto& thread = emulator().running_thread("async_copy_wait");
  if (thread.copies_made == thread.copies.size()) return false;
  const AsyncCopy& oldest = thread.copies[thread.copies_made];
  if (oldest.group == 0 || oldest.group > thread.groups - pending) return false;
  *copy = oldest;
  if (++thread.copies_made == thread.copies.size()) {
    thread.copies.clear();
    thread.copies_made = 0;
  }
  return true;
}

void waited_for_previous_kernel() { emulator().running_thread("wait_for_previous_kernel").waited_for_previous = true; }

void fail(const char* what) { emulator().fail(what); }

}  // namespace gpucnn::emulator
