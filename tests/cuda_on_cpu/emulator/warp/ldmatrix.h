#pragma once

#include <cstdint>

#include "emulator/device_language.h"

/// What core/gpu/warp/ldmatrix.h is to nvcc. The lane that gets an element loads it, so that sanitizers see who reads what.
namespace gpucnn::emulator {

template <int kMatrices>
const std::uint64_t* matrix_rows(const char* operation, const void* row) {
  require_capability_8(operation);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (lane < 8 * kMatrices) {
    if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0) fail("ldmatrix of a row whose address is no multiple of 16 bytes");
    require_shared(operation, row, 16);
  }
  return warp_meeting(operation, 0xFFFFFFFFU, reinterpret_cast<std::uintptr_t>(row), false);
}

template <class T>
T element(std::uint64_t row, int index) {
  using Element __attribute__((may_alias)) = T;
  return reinterpret_cast<const volatile Element*>(row)[index];
}

template <int kMatrices>
void load_matrices(const char* operation, std::uint32_t (&fragments)[kMatrices], const void* row) {
  const std::uint64_t* rows = matrix_rows<kMatrices>(operation, row);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int i = 0; i < kMatrices; ++i) fragments[i] = element<std::uint32_t>(rows[8 * i + lane / 4], lane % 4);
}

template <int kMatrices>
void load_matrices_transposed(const char* operation, std::uint32_t (&fragments)[kMatrices], const void* row) {
  const std::uint64_t* rows = matrix_rows<kMatrices>(operation, row);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int i = 0; i < kMatrices; ++i) {
    const std::uint64_t* pair = rows + 8 * i + 2 * (lane % 4);
    const std::uint32_t low = element<std::uint16_t>(pair[0], lane / 4), high = element<std::uint16_t>(pair[1], lane / 4);
    fragments[i] = low | high << 16;
  }
}

}  // namespace gpucnn::emulator

namespace gpucnn::warp {

inline void ldmatrix(std::uint32_t (&fragments)[4], const void* row) { emulator::load_matrices("ldmatrix x4", fragments, row); }
inline void ldmatrix(std::uint32_t (&fragments)[2], const void* row) { emulator::load_matrices("ldmatrix x2", fragments, row); }
inline void ldmatrix_transposed(std::uint32_t (&fragments)[4], const void* row) {
  emulator::load_matrices_transposed("ldmatrix_transposed x4", fragments, row);
}
inline void ldmatrix_transposed(std::uint32_t (&fragments)[2], const void* row) {
  emulator::load_matrices_transposed("ldmatrix_transposed x2", fragments, row);
}

}  // namespace gpucnn::warp
