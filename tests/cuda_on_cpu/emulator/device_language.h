#pragma once

#include <vector_functions.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "emulator.h"

/// The part of CUDA's device language that libgpucnn's kernels are written in, for a compiler of C++. A kernel that uses more does
/// not compile here: add it, with what CUDA's manual says of it.

// Registers are for real GPUs.
#undef __launch_bounds__
#define __launch_bounds__(...)

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

// ---- barriers --------------------------------------------------------------------------------------------------------

inline void __syncthreads() { gpucnn::emulator::block_barrier(false); }
inline int __syncthreads_count(int predicate) { return gpucnn::emulator::block_barrier(predicate != 0); }
inline int __syncthreads_or(int predicate) { return gpucnn::emulator::block_barrier(predicate != 0) > 0; }
inline int __syncthreads_and(int predicate) {
  return gpucnn::emulator::block_barrier(predicate != 0) == static_cast<int>(blockDim.x);
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFU) { gpucnn::emulator::warp_meeting("__syncwarp()", mask, 0, true); }

// ---- warps -----------------------------------------------------------------------------------------------------------

namespace gpucnn::emulator {

/// Each lane of the mask reads the value of the lane that `source(lane, first, width)` names; `width` lanes from `first` are its
/// segment, and a source outside of it is itself.
template <class T, class Source>
T shuffle(const char* operation, unsigned mask, T value, int width, const Source& source) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  const std::uint64_t* all = warp_meeting(operation, mask, bits, false);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int first = lane / width * width;
  const int from = source(lane, first);
  if ((mask >> from & 1U) == 0) fail("a shuffle reads a lane that its mask leaves out");
  std::memcpy(&value, &all[from], sizeof value);
  return value;
}

/// The lanes of the mask whose predicate is true.
inline unsigned ballot(const char* operation, unsigned mask, int predicate) {
  const std::uint64_t* all = warp_meeting(operation, mask, predicate != 0, false);
  unsigned lanes = 0;
  for (int lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1U) != 0 && all[lane] != 0) lanes |= 1U << lane;
  }
  return lanes;
}

}  // namespace gpucnn::emulator

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  return gpucnn::emulator::shuffle("__shfl_sync()", mask, value, width,
                                   [=](int, int first) { return first + (source & (width - 1)); });
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return gpucnn::emulator::shuffle("__shfl_up_sync()", mask, value, width, [=](int lane, int first) {
    const int from = lane - static_cast<int>(delta);
    return from < first ? lane : from;
  });
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  return gpucnn::emulator::shuffle("__shfl_down_sync()", mask, value, width, [=](int lane, int first) {
    const int from = lane + static_cast<int>(delta);
    return from >= first + width ? lane : from;
  });
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  return gpucnn::emulator::shuffle("__shfl_xor_sync()", mask, value, width, [=](int lane, int first) {
    const int from = lane ^ lane_mask;
    return from >= first + width ? lane : from;
  });
}

inline unsigned __ballot_sync(unsigned mask, int predicate) { return gpucnn::emulator::ballot("__ballot_sync()", mask, predicate); }
inline int __any_sync(unsigned mask, int predicate) { return gpucnn::emulator::ballot("__any_sync()", mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return gpucnn::emulator::ballot("__all_sync()", mask, predicate) == mask; }

// ---- memory ----------------------------------------------------------------------------------------------------------

// Atomics order memory here, so that a fence before or behind them, which ThreadSanitizer does not know, is none too many.
inline void __threadfence_block() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_system() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

template <class T>
T __ldg(const T* address) {
  return *address;
}

namespace gpucnn::emulator {

template <class T, class Change>
T change_atomically(T* address, const Change& change) {
  T old = __atomic_load_n(address, __ATOMIC_ACQUIRE);
  while (!__atomic_compare_exchange_n(address, &old, change(old), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
  }
  return old;
}

/// The integers that CUDA has atomics for.
template <class T>
concept AtomicInteger = std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, unsigned long long>;

}  // namespace gpucnn::emulator

template <gpucnn::emulator::AtomicInteger T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return __atomic_fetch_add(address, value, __ATOMIC_ACQ_REL);
}

template <gpucnn::emulator::AtomicInteger T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return __atomic_exchange_n(address, value, __ATOMIC_ACQ_REL);
}

template <gpucnn::emulator::AtomicInteger T>
T atomicCAS(T* address, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  __atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  return expected;
}

template <class T>
requires gpucnn::emulator::AtomicInteger<T> || std::is_same_v<T, long long> T atomicMin(T* address, std::type_identity_t<T> value) {
  return gpucnn::emulator::change_atomically(address, [=](T old) { return std::min(old, value); });
}

template <class T>
requires gpucnn::emulator::AtomicInteger<T> || std::is_same_v<T, long long> T atomicMax(T* address, std::type_identity_t<T> value) {
  return gpucnn::emulator::change_atomically(address, [=](T old) { return std::max(old, value); });
}
