#pragma once

#include <cstddef>
#include <cstdint>

// Software prefetch, in slices between other work.
namespace gpucnn::kernels::cpu {

/// Memory that will be needed soon. It is prefetched in slices, between other work, because a core has few line-fill buffers.
class Prefetch {
 public:
  enum Use { read, write };

  Prefetch() = default;
  template <class T>
  Prefetch(const T* from, std::int64_t count, Use use = read)
      : from_(reinterpret_cast<const char*>(from)), bytes_(count * static_cast<std::int64_t>(sizeof(T))), use_(use) {}

  /// Prefetches slice `slice` of `slices`.
  void issue(std::int64_t slice, std::int64_t slices) const {
    constexpr std::int64_t kLine = 64;
    const std::int64_t lines = (bytes_ + kLine - 1) / kLine;
    constexpr int kSecondLevel = 2;  // the L2 cache, since the work at hand fills the L1
    for (std::int64_t line = slice * lines / slices; line < (slice + 1) * lines / slices; ++line) {
      if (use_ == write) {
        prefetch_exclusive(from_ + line * kLine);
      } else {
        __builtin_prefetch(from_ + line * kLine, 0, kSecondLevel);
      }
    }
  }

 private:
  /// Takes the line exclusive (prefetchw): a store would otherwise stall on the read for ownership.
  static void prefetch_exclusive(const char* line) {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*line));  // __builtin_prefetch(line, 1) prefetches for reading, unless built with -mprfchw
#else
    __builtin_prefetch(line, 1);
#endif
  }

  const char* from_ = nullptr;
  std::int64_t bytes_ = 0;
  Use use_ = read;
};

/// Slice `slice` of `slices` of each.
template <std::size_t kCount>
void prefetch(const Prefetch (&all)[kCount], std::int64_t slice, std::int64_t slices) {
  for (const Prefetch& one : all) one.issue(slice, slices);
}

}  // namespace gpucnn::kernels::cpu
