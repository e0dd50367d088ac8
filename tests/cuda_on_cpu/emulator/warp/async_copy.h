#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "emulator/device_language.h"

/// What core/gpu/warp/async_copy.h is to nvcc. A copy is made when its thread waits for it, and not before. What it will overwrite
/// is NaN from the moment that it is asked for: so who reads too early, or was not done with the old values, reads NaN, and races
/// with one of the two writes.
namespace gpucnn::emulator {

/// The bytes that a copy reads, one by one for all tails.
inline void read_source(const AsyncCopy& copy, unsigned char* bytes) {
  const auto* from = static_cast<const volatile unsigned char*>(copy.from);
  for (int i = 0; i < copy.source_bytes; ++i) bytes[i] = from[i];
}

inline void write_destination(const AsyncCopy& copy, const unsigned char* bytes) {
  auto* to = static_cast<volatile unsigned char*>(copy.to);
  for (int i = 0; i < copy.bytes; ++i) to[i] = bytes[i];
}

inline void begin_async_copy(AsyncCopy copy) {
  require_capability_8("async_copy");
  const auto misaligned = [&](const void* end) {
    return reinterpret_cast<std::uintptr_t>(end) % static_cast<std::uintptr_t>(copy.bytes) != 0;
  };
  if (misaligned(copy.to)) fail("async_copy to an address that is no multiple of the bytes it copies");
  if (misaligned(copy.from)) fail("async_copy from an address that is no multiple of the bytes it copies");
  if (copy.source_bytes < 0 || copy.source_bytes > copy.bytes)
    fail("async_copy of more source bytes than it copies, or of fewer than 0");
  require_shared("async_copy", copy.to, static_cast<std::size_t>(copy.bytes));
  if (is_shared(copy.from)) fail("async_copy from shared memory");
  read_source(copy, copy.source);
  unsigned char nan[16];
  std::fill(std::begin(nan), std::end(nan), static_cast<unsigned char>(0xFF));
  write_destination(copy, nan);
  add_async_copy(copy);
}

}  // namespace gpucnn::emulator

namespace gpucnn::warp {

template <int kBytes>
void async_copy(void* to_shared, const void* from_global, int source_bytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  emulator::begin_async_copy({.to = to_shared, .from = from_global, .bytes = kBytes, .source_bytes = source_bytes, .source = {}});
}

template <int kBytes>
void async_copy(void* to_shared, const void* from_global) {
  async_copy<kBytes>(to_shared, from_global, kBytes);
}

inline void async_copy_commit() {
  emulator::require_capability_8("async_copy_commit");
  emulator::commit_async_copies();
}

template <int kPending>
void async_copy_wait() {
  static_assert(kPending >= 0);
  emulator::require_capability_8("async_copy_wait");
  emulator::AsyncCopy copy{};
  while (emulator::take_async_copy(kPending, &copy)) {
    unsigned char bytes[16] = {};
    emulator::read_source(copy, bytes);
    if (std::memcmp(bytes, copy.source, sizeof bytes) != 0)
      emulator::fail("the source of an async_copy has changed before its wait");
    emulator::write_destination(copy, bytes);
  }
}

}  // namespace gpucnn::warp
