#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gpucnn {

/// What a rank tells of itself, every second. Fixed in size, to be sent as it lies.
struct Beat {
  enum class State : std::int32_t {
    at_work,
    in_long_task,  // others wait for it as long as it takes
    ended,         // its program is over
    explained      // as ended, and it has said why
  };

  std::int64_t begun = 0;      // how many collectives it has begun
  std::int64_t waits_for = 0;  // the number of the one that it waits for, from 1 on; 0: it does not wait
  std::int64_t count = 0;      // of that one: how many values
  std::int32_t call = 0;       // and which call, in numbers that differ where calls do
  State state = State::at_work;
};

/// Judges from the ranks' beats whether the run can go on. Rank 0 hears all, the others hear rank 0.
class Watch {
 public:
  /// A rank that keeps the others waiting for so long, or says nothing, has failed.
  static constexpr std::chrono::seconds kMaxWait{20};

  struct Failure {
    std::string sentence;  // empty: the rank has said it
    int rank = 0;          // the one that failed
    bool ended = false;    // which leaves with an exit code of its own
  };

  /// `names` of all ranks, as "rank 1 (process 42 on node7)". `max_wait` zero: nobody fails for the time he takes.
  Watch(int rank, std::vector<std::string> names, std::chrono::seconds max_wait = kMaxWait);

  void hear(int rank, const Beat& beat);

  /// Call this a few times a second. `passed` is the time since the last call, as far as this process ran.
  std::optional<Failure> judge(std::chrono::nanoseconds passed);

  const std::string& name(int rank) const { return ranks_[static_cast<std::size_t>(rank)].name; }

 private:
  struct Rank {
    std::string name;
    Beat beat;
    std::chrono::nanoseconds silent{0}, late{0}, stuck{0};
  };

  std::optional<Failure> find_silent(std::chrono::nanoseconds passed);
  std::optional<Failure> find_late(const Rank& waiting, std::chrono::nanoseconds passed);
  std::optional<Failure> find_other_call(const Rank& waiting) const;
  /// Whoever waits for a call that all have begun, and that does not end.
  std::optional<Failure> find_stuck(std::chrono::nanoseconds passed);
  bool hears(int rank) const { return rank != own_ && (own_ == 0 || rank == 0); }

  int own_;
  std::chrono::seconds max_wait_;
  std::vector<Rank> ranks_;
};

}  // namespace gpucnn
