#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "emulator/device_language.h"

/// What core/gpu/warp/mma.h is to nvcc: sums in double, rounded once.
namespace gpucnn::emulator {

/// A fragment's halves as floats.
inline float bf16_of(std::uint32_t word, int half) { return std::bit_cast<float>(half == 0 ? word << 16 : word & 0xFFFF0000U); }

inline float tf32_of(std::uint32_t word) {
  const auto value = std::bit_cast<float>(word);
  if (std::isfinite(value) && (word & 0x1FFFU) != 0) fail("mma_tf32 of a float that to_tf32 has not rounded");
  return value;
}

/// What the 32 lanes hold of A and B.
class Fragments {
 public:
  Fragments(const char* operation, const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
    require_capability_8(operation);
    const std::uint64_t own[] = {pair(a[0], a[1]), pair(a[2], a[3]), pair(b[0], b[1])};
    all_ = warp_meeting(operation, 0xFFFFFFFFU, own, false);
  }

  std::uint32_t a(int lane, int i) const { return static_cast<std::uint32_t>(all_[i / 2][lane] >> 32 * (i % 2)); }
  std::uint32_t b(int lane, int i) const { return static_cast<std::uint32_t>(all_[2][lane] >> 32 * i); }

 private:
  static std::uint64_t pair(std::uint32_t low, std::uint32_t high) { return low | std::uint64_t{high} << 32; }

  const WarpValues* all_;
};

/// d += A * B for the four elements of the calling lane, where a(row, k) and b(k, column) give the matrices, K deep.
template <class A, class B>
void add_products(float (&d)[4], int K, const A& a, const B& b) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
    double sum = 0;
    for (int k = 0; k < K; ++k) sum += static_cast<double>(a(row, k)) * static_cast<double>(b(k, column));
    d[i] = static_cast<float>(static_cast<double>(d[i]) + sum);
  }
}

}  // namespace gpucnn::emulator

namespace gpucnn::warp {

inline void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  const emulator::Fragments all("mma_bf16", a, b);
  const auto a_at = [&](int row, int k) {
    return emulator::bf16_of(all.a(4 * (row % 8) + k % 8 / 2, row / 8 + 2 * (k / 8)), k % 2);
  };
  const auto b_at = [&](int k, int column) { return emulator::bf16_of(all.b(4 * column + k % 8 / 2, k / 8), k % 2); };
  emulator::add_products(d, 16, a_at, b_at);
}

inline void mma_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  const emulator::Fragments all("mma_tf32", a, b);
  const auto a_at = [&](int row, int k) { return emulator::tf32_of(all.a(4 * (row % 8) + k % 4, row / 8 + 2 * (k / 4))); };
  const auto b_at = [&](int k, int column) { return emulator::tf32_of(all.b(4 * column + k % 4, k / 4)); };
  emulator::add_products(d, 8, a_at, b_at);
}

inline std::uint32_t to_tf32(float value) {
  emulator::require_capability_8("to_tf32");
  if (std::isnan(value)) return 0x7FFFFFFFU;
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return std::isinf(value) ? bits : (bits + 0x1000U) & ~0x1FFFU;
}

}  // namespace gpucnn::warp
