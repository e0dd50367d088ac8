#include <gpucnn/core/host/bf16_instructions.h>

#include <atomic>
#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace gpucnn {
namespace {

#if defined(__x86_64__)

/// Which registers the system saves, as XGETBV tells.
std::uint64_t saved_registers() noexcept {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  constexpr unsigned kSaves = 1U << 27;  // OSXSAVE: the system has enabled XGETBV
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kSaves) == 0) return 0;
  std::uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

bool ask_processor() noexcept {
  constexpr std::uint64_t kZmm = 0xE6, kTiles = 0x60000;        // bits of XCR0
  constexpr unsigned kAvx512Bf16 = 1U << 5;                     // EAX of leaf 7.1
  constexpr unsigned kAmxBf16 = 1U << 22, kAmxTile = 1U << 24;  // EDX of leaf 7.0
  const std::uint64_t saved = saved_registers();
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  const unsigned last_subleaf = eax, amx = kAmxBf16 | kAmxTile;
  if ((edx & amx) == amx && (saved & kTiles) == kTiles) return true;
  if (last_subleaf < 1 || __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) == 0) return false;
  return (eax & kAvx512Bf16) != 0 && (saved & kZmm) == kZmm;
}

#else

bool ask_processor() noexcept { return false; }

#endif

constexpr int kAsk = -1;
std::atomic<int> pretended{kAsk};

}  // namespace

bool has_bf16_instructions() noexcept {
  if (const int answer = pretended.load(std::memory_order_relaxed); answer != kAsk) return answer != 0;
  static const bool there = ask_processor();
  return there;
}

void pretend_bf16_instructions(std::optional<bool> there) noexcept {
  pretended.store(there ? static_cast<int>(*there) : kAsk, std::memory_order_relaxed);
}

}  // namespace gpucnn
