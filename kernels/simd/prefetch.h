#pragma once

#include <cstddef>
#include <cstdint>

// Software prefetch, in slices between other work.
namespace gpucnn::kernels::cpu {

/// What will be needed soon, asked for a part at a time while there is other work, since a cache takes in few lines at once.
class Prefetch {
 public:
  enum Use { read, write };

  Prefetch() = default;
  template <class T>
  Prefetch(const T* from, std::int64_t count, Use use = read)
      : from_(reinterpret_cast<const char*>(from)), bytes_(count * static_cast<std::int64_t>(sizeof(T))), use_(use) {}

  /// Part `part` of `parts`.
  void ask(std::int64_t part, std::int64_t parts) const {
    constexpr std::int64_t kLine = 64;
    const std::int64_t lines = (bytes_ + kLine - 1) / kLine;
    constexpr int kSecondLevel = 2;  // of caches: the first is full of what is at work
    for (std::int64_t line = part * lines / parts; line < (part + 1) * lines / parts; ++line) {
      if (use_ == write) {
        ask_to_write(from_ + line * kLine);
      } else {
        __builtin_prefetch(from_ + line * kLine, 0, kSecondLevel);
      }
    }
  }

 private:
  /// For this core alone: a store to a line that another core has read waits for that core.
  static void ask_to_write(const char* line) {
#if defined(__x86_64__)
    asm volatile("prefetchw %0" : : "m"(*line));  // __builtin_prefetch(line, 1) reads, unless built with -mprfchw
#else
    __builtin_prefetch(line, 1);
#endif
  }

  const char* from_ = nullptr;
  std::int64_t bytes_ = 0;
  Use use_ = read;
};

/// Part `part` of `parts` of each.
template <std::size_t kCount>
void ask(const Prefetch (&all)[kCount], std::int64_t part, std::int64_t parts) {
  for (const Prefetch& one : all) one.ask(part, parts);
}

}  // namespace gpucnn::kernels::cpu
