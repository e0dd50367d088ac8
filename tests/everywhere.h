#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <gpucnn/core/device.h>
#include <gpucnn/core/threads/threads.h>

namespace gpucnn {

/// While one lives, Highway's kernels run with one instruction set.
class ForcedInstructionSet {
 public:
  explicit ForcedInstructionSet(std::int64_t target) { choose(target); }
  ~ForcedInstructionSet() { choose(0); }
  ForcedInstructionSet(const ForcedInstructionSet&) = delete;
  ForcedInstructionSet& operator=(const ForcedInstructionSet&) = delete;

  /// Those that were compiled in and that this processor has.
  static std::vector<std::int64_t> all();

 private:
  // 0 stands for what the processor really has.
  static void choose(std::int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

/// While one lives, the library works with `n` threads.
class ForcedThreads {
 public:
  explicit ForcedThreads(int n) : before_(num_threads()) { set_num_threads(n); }
  ~ForcedThreads() { set_num_threads(before_); }
  ForcedThreads(const ForcedThreads&) = delete;
  ForcedThreads& operator=(const ForcedThreads&) = delete;

 private:
  int before_;
};

/// Calls `compute`, which checks what a kernel gives and returns it: once on a GPU; on the CPU with every instruction set, each
/// time with 1, 2 and 5 threads, which must give the same bits.
template <class Compute>
void everywhere(Device device, const Compute& compute) {
  if (device.kind == Device::Kind::cuda) return static_cast<void>(compute());
  for (const std::int64_t target : ForcedInstructionSet::all()) {
    SCOPED_TRACE(hwy::TargetName(target));
    const ForcedInstructionSet forced(target);
    const ForcedThreads one(1);
    const auto expected = compute();
    for (const int threads : {2, 5}) {
      SCOPED_TRACE(threads);
      const ForcedThreads several(threads);
      const auto values = compute();
      ASSERT_EQ(values.size(), expected.size());
      const std::size_t bytes = values.size() * sizeof(values[0]);
      EXPECT_TRUE(bytes == 0 || std::memcmp(values.data(), expected.data(), bytes) == 0) << "other bits than with 1 thread";
    }
  }
}

}  // namespace gpucnn
