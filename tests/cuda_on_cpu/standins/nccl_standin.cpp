#include "nccl_standin.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "current_gpu.h"
#include "standin.h"

// Stands in for libnccl where there is no GPU: the calls that the library makes, between processes or between GPUs of one. Sums are
// made in the order of the ranks. What NCCL would answer by waiting for ever, or with wrong results, ends the process with a
// sentence.
namespace gpucnn::nccl_standin {
namespace {

using nccl::DataType;
using nccl::Handle;
using nccl::Operation;
using nccl::Residence;
using nccl::Result;
using nccl::UniqueId;

constexpr std::chrono::seconds kPatience{60};
constexpr int kFirstFactor = 8;  // the first nccl::Operation that is a factor's
constexpr std::size_t kHeader = std::size_t{1} << 16;
static_assert(sizeof(Meeting) <= kHeader);

std::mutex& mutex() {
  static std::mutex& the = *new std::mutex;
  return the;
}

/// All that were ever made, by this process.
std::vector<Handle*>& handles() {
  static auto& all = *new std::vector<Handle*>;
  return all;
}

/// What this thread's group will do at its end.
struct Group {
  int depth = 0;
  std::vector<std::function<void()>> joins, calls;
  std::vector<std::function<Result()>> waits;
};
thread_local Group group;
thread_local std::string last_error_of_thread;

Result refuse(Result result, const std::string& why) {
  last_error_of_thread = why;
  return result;
}

Handle& alive(Handle* handle, const char* call) {
  const std::scoped_lock lock(mutex());
  if (std::ranges::find(handles(), handle) == handles().end()) stop(fmt::format("{}: there is no such communicator", call));
  if (handle->is_destroyed) stop(fmt::format("{}: the communicator was destroyed", call));
  return *handle;
}

/// NCCL's kernels for one rank would wait for those of another that this thread has not launched yet.
void require_group(const Handle& handle, const char* call) {
  if (group.depth > 0) return;
  const std::scoped_lock lock(mutex());
  const auto ranks =
      std::ranges::count_if(handles(), [&](const Handle* other) { return other->id == handle.id && !other->is_destroyed; });
  if (ranks > 1) {
    stop(fmt::format("{} outside of a group, in a process with {} ranks of the communicator: NCCL would wait for ever", call,
                     ranks));
  }
}

Meeting* open_meeting(const std::string& id, bool is_new) {
  const int file = shm_open(id.c_str(), O_RDWR | (is_new ? O_CREAT | O_EXCL : 0), 0600);
  if (file < 0) return nullptr;
  const std::size_t bytes = kHeader + kMaxRanks * kSlots * kMaxBytes;
  void* memory = MAP_FAILED;
  if (!is_new || ftruncate(file, static_cast<off_t>(bytes)) == 0) {
    memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  close(file);
  return memory == MAP_FAILED ? nullptr : static_cast<Meeting*>(memory);
}

void join(Handle& handle) {
  int none = 0;
  if (!handle.meeting->ranks.compare_exchange_strong(none, handle.ranks) && none != handle.ranks) {
    stop(fmt::format("ncclCommInitRank: one rank says that there are {} ranks, and another {}", none, handle.ranks));
  }
  Lane& lane = handle.lane(handle.rank);
  lane.gpu = handle.gpu + 1;
  if (lane.process.exchange(getpid()) != 0) stop(fmt::format("ncclCommInitRank: rank {} is there already", handle.rank));
}

Result wait_for_all(Handle& handle) {
  const auto begin = std::chrono::steady_clock::now();
  for (int rank = 0; rank < handle.ranks; ++rank) {
    while (handle.lane(rank).process == 0) {
      if (std::chrono::steady_clock::now() - begin > kPatience) {
        stop(fmt::format("ncclCommInitRank: rank {} of {} has not come; ranks of one thread need a group", rank, handle.ranks));
      }
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    if (rank != handle.rank && handle.lane(rank).gpu == handle.gpu + 1) {
      return refuse(Result::invalid_usage, fmt::format("Duplicate GPU detected : rank {} and rank {} both on CUDA device {}",
                                                       handle.rank, rank, handle.gpu));
    }
  }
  return Result::success;
}

Result enqueue(Handle* to, const char* call, const Terms& terms, const void* from, void* into, const Factor* factor,
               cudaStream_t stream) {
  Handle& handle = alive(to, call);
  if (size_of(terms.type) == 0) return refuse(Result::invalid_argument, fmt::format("{}: an unknown type", call));
  if (terms.count * size_of(terms.type) > kMaxBytes) stop(fmt::format("{}: more than {} bytes", call, kMaxBytes));
  if (gpucnn_standin_gpu_of(stream) != handle.gpu) stop(fmt::format("{}: the stream is not of the communicator's GPU", call));
  require_group(handle, call);
  auto made = std::make_shared<Collective>(handle, terms, from, into, factor);
  const auto queue = [made, stream] {
    const int before = gpucnn_standin_make_current(made->gpu());  // as NCCL does
    // Each replay runs it again, so the stream keeps it.
    gpucnn_standin_enqueue_waiting(
        stream, [](void* it) { return (*static_cast<std::shared_ptr<Collective>*>(it))->is_ready(); },
        [](void* it) { (*static_cast<std::shared_ptr<Collective>*>(it))->run(); },
        [](void* it) { delete static_cast<std::shared_ptr<Collective>*>(it); }, new std::shared_ptr<Collective>(made));
    gpucnn_standin_make_current(before);
  };
  if (group.depth > 0) {
    group.calls.emplace_back(queue);
  } else {
    queue();
  }
  return Result::success;
}

bool has_gone(const Lane& lane) { return lane.left || (kill(lane.process, 0) != 0 && errno == ESRCH); }

}  // namespace
}  // namespace gpucnn::nccl_standin

using namespace gpucnn::nccl_standin;  // NCCL's functions are in no namespace

extern "C" {

Result ncclGetVersion(int* version) {
  const char* asked = std::getenv("GPUCNN_STANDIN_NCCL");
  *version = asked ? std::atoi(asked) : 22809;
  return Result::success;
}

const char* ncclGetErrorString(Result result) {
  switch (result) {
    case Result::success: return "no error";
    case Result::unhandled_cuda_error: return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case Result::system_error: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case Result::internal_error: return "internal error - please report this issue to the NCCL developers";
    case Result::invalid_argument: return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case Result::invalid_usage: return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case Result::remote_error: return "remote process exited or there was a network error";
    case Result::in_progress: return "NCCL operation in progress";
  }
  return "unknown result code";
}

const char* ncclGetLastError(Handle*) { return last_error_of_thread.c_str(); }

Result ncclGetUniqueId(UniqueId* id) {
  static std::atomic<int> made{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  const std::string name = fmt::format("/gpucnn-nccl-{}-{}-{}", getpid(), made++, now);
  Meeting* const meeting = open_meeting(name, /*is_new=*/true);
  if (!meeting) return refuse(Result::system_error, "no shared memory");
  munmap(meeting, kHeader + kMaxRanks * kSlots * kMaxBytes);
  *id = {};
  name.copy(id->bytes, sizeof(id->bytes) - 1);
  return Result::success;
}

Result ncclCommInitRank(Handle** made, int ranks, UniqueId id, int rank) {
  if (ranks < 1 || ranks > kMaxRanks || rank < 0 || rank >= ranks) {
    return refuse(Result::invalid_argument, fmt::format("Invalid rank requested : {}/{}", rank, ranks));
  }
  gpucnn_standin_context context;
  if (!gpucnn_standin_create(&context)) return refuse(Result::unhandled_cuda_error, "Cuda failure while a stream captures");
  auto handle = std::make_unique<Handle>();
  handle->id = id.bytes;
  handle->meeting = open_meeting(handle->id, /*is_new=*/false);
  if (!handle->meeting) return refuse(Result::system_error, "no rank has made this id");
  handle->data = reinterpret_cast<std::byte*>(handle->meeting) + kHeader;
  handle->rank = rank;
  handle->ranks = ranks;
  handle->gpu = context.gpu;
  Handle* const kept = *made = handle.release();
  {
    const std::scoped_lock lock(mutex());
    handles().push_back(kept);
  }
  const auto wait = [kept] {
    const Result result = wait_for_all(*kept);
    if (kept->rank == 0) shm_unlink(kept->id.c_str());
    return result;
  };
  if (group.depth == 0) {
    join(*kept);
    return wait();
  }
  group.joins.emplace_back([kept] { join(*kept); });
  group.waits.emplace_back(wait);
  return Result::success;
}

Result ncclGroupStart() {
  ++group.depth;
  return Result::success;
}

Result ncclGroupEnd() {
  if (group.depth == 0) stop("ncclGroupEnd without ncclGroupStart");
  if (--group.depth > 0) return Result::success;
  const Group ended = std::exchange(group, {});
  for (const auto& each : ended.joins) each();
  for (const auto& each : ended.waits) {
    if (const Result result = each(); result != Result::success) return result;
  }
  for (const auto& each : ended.calls) each();
  return Result::success;
}

Result ncclCommDestroy(Handle* handle) {
  Handle& mine = alive(handle, "ncclCommDestroy");
  mine.is_destroyed = true;
  mine.lane(mine.rank).left = true;
  return Result::success;
}

Result ncclCommAbort(Handle* handle) {
  Handle& mine = alive(handle, "ncclCommAbort");
  mine.is_aborted = true;
  mine.lane(mine.rank).left = true;
  return Result::success;
}

Result ncclCommGetAsyncError(Handle* handle, Result* error) {
  const Handle& mine = alive(handle, "ncclCommGetAsyncError");
  *error = Result::success;
  for (int rank = 0; rank < mine.ranks; ++rank) {
    const Lane& other = mine.lane(rank);
    const bool is_awaited = other.posted < mine.lane(mine.rank).posted;
    if (rank != mine.rank && is_awaited && has_gone(other)) *error = Result::remote_error;
  }
  return Result::success;
}

Result ncclAllReduce(const void* from, void* to, std::size_t count, DataType type, Operation operation, Handle* handle,
                     cudaStream_t stream) {
  Terms terms{Kind::all_reduce, type, static_cast<int>(operation), 0, count};
  if (terms.operation < kFirstFactor) return enqueue(handle, "ncclAllReduce", terms, from, to, nullptr, stream);
  const auto factor = static_cast<std::size_t>(terms.operation - kFirstFactor);
  const Handle& mine = alive(handle, "ncclAllReduce");
  if (factor >= mine.factors.size() || mine.factors[factor].is_destroyed) stop("ncclAllReduce: there is no such operation");
  if (type != DataType::f32 || mine.factors[factor].type != type) {
    return refuse(Result::invalid_argument, "ncclAllReduce: the operation is for another type");
  }
  terms.operation = kPremul;
  return enqueue(handle, "ncclAllReduce", terms, from, to, &mine.factors[factor], stream);
}

Result ncclBroadcast(const void* from, void* to, std::size_t count, DataType type, int root, Handle* handle, cudaStream_t stream) {
  if (root < 0 || root >= alive(handle, "ncclBroadcast").ranks) {
    return refuse(Result::invalid_argument, fmt::format("Broadcast : invalid root {}", root));
  }
  return enqueue(handle, "ncclBroadcast", {Kind::broadcast, type, 0, root, count}, from, to, nullptr, stream);
}

Result ncclRedOpCreatePreMulSum(Operation* operation, void* scalar, DataType type, Residence residence, Handle* handle) {
  Handle& mine = alive(handle, "ncclRedOpCreatePreMulSum");
  if (type != DataType::f32) return refuse(Result::invalid_argument, "the stand-in multiplies f32");
  const bool on_host = residence == Residence::host;
  mine.factors.push_back(
      {type, on_host ? nullptr : scalar, on_host ? static_cast<double>(*static_cast<float*>(scalar)) : 0, false});
  *operation = static_cast<Operation>(kFirstFactor + static_cast<int>(mine.factors.size()) - 1);
  return Result::success;
}

Result ncclRedOpDestroy(Operation operation, Handle* handle) {
  Handle& mine = alive(handle, "ncclRedOpDestroy");
  const auto factor = static_cast<std::size_t>(static_cast<int>(operation) - kFirstFactor);
  if (factor >= mine.factors.size() || mine.factors[factor].is_destroyed) {
    return refuse(Result::invalid_argument, "ncclRedOpDestroy : operator already destroyed");
  }
  mine.factors[factor].is_destroyed = true;
  return Result::success;
}

}  // extern "C"
