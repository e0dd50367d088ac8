#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gpucnn/distributed/nccl/nccl.h>

/// What the stand-in's parts know of a communicator. Its ranks are processes of this machine, or GPUs of one process, that meet in
/// shared memory.
namespace gpucnn::nccl_standin {

inline constexpr int kMaxRanks = 8;
inline constexpr std::size_t kMaxBytes = std::size_t{16} << 20;  // of a call
inline constexpr std::uint64_t kSlots = 2;                       // whoever posts a call has read all calls but the last

enum class Kind : int { all_reduce, broadcast };

/// What must be the same on all ranks.
struct Terms {
  Kind kind;
  nccl::DataType type;
  int operation;  // nccl::Operation, or kPremul
  int root;
  std::size_t count;
  bool operator==(const Terms&) const = default;
};
inline constexpr int kPremul = -1;

/// What one rank shows the others. All zeros at first.
struct Lane {
  std::atomic<int> process, gpu;  // the process's id; the number of its GPU, from 1
  std::atomic<bool> left;
  std::atomic<std::uint64_t> posted;  // calls
  std::array<Terms, kSlots> terms;    // of the last ones
};

struct Meeting {
  std::atomic<int> ranks;
  std::array<Lane, kMaxRanks> lanes;
};

/// A factor that an operation of ncclRedOpCreatePreMulSum multiplies with.
struct Factor {
  nccl::DataType type;
  const void* on_device;  // null: `value`
  double value;
  bool is_destroyed;
};

}  // namespace gpucnn::nccl_standin

/// What ncclComm_t points to. Never deleted, so that whoever uses one that is destroyed is told.
struct gpucnn::nccl::Handle {
  nccl_standin::Meeting* meeting = nullptr;
  std::byte* data = nullptr;  // of all ranks' slots
  std::string id;
  int rank = 0, ranks = 0, gpu = 0;
  std::uint64_t posted = 0;
  std::atomic<bool> is_destroyed{false}, is_aborted{false};
  std::vector<nccl_standin::Factor> factors;
  std::string last_error;

  nccl_standin::Lane& lane(int of) const { return meeting->lanes[static_cast<std::size_t>(of)]; }
  std::byte* slot(int of, std::uint64_t call) const {
    return data + (static_cast<std::size_t>(of) * nccl_standin::kSlots + call % nccl_standin::kSlots) * nccl_standin::kMaxBytes;
  }
};

namespace gpucnn::nccl_standin {

/// Prints the sentence and aborts: what NCCL would answer with wrong results, or by waiting for ever.
[[noreturn]] void stop(const std::string& sentence);

/// A call in a stream, which waits there for the other ranks' calls.
class Collective {
 public:
  Collective(nccl::Handle& handle, const Terms& terms, const void* from, void* to, const Factor* factor)
      : handle_(handle), terms_(terms), from_(from), to_(to), factor_(factor ? *factor : Factor{}) {}

  int gpu() const { return handle_.gpu; }
  /// Shows the others this rank's values, the first time in each replay. Whether all ranks have come, or none is waited for.
  bool is_ready();
  /// Waits for the others, and computes.
  void run();

 private:
  void post();
  void check_terms() const;
  template <class T>
  void reduce() const;

  nccl::Handle& handle_;
  Terms terms_;
  const void* from_;
  void* to_;
  Factor factor_;
  std::uint64_t call_ = 0;  // of the communicator, from 1; 0: not posted
};

std::size_t size_of(nccl::DataType type);

}  // namespace gpucnn::nccl_standin
