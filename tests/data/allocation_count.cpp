#include "data/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

// In a file of its own: a compiler that sees through only one of new and delete takes them for a mismatch.
namespace {
std::atomic<std::int64_t> calls{0};
thread_local std::int64_t before_failure = -1;
}  // namespace

// As std::stable_sort allocates. AddressSanitizer has one of its own, whose memory the delete below may not free.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++calls;
  if (before_failure >= 0 && before_failure-- == 0) return nullptr;
  return std::malloc(bytes ? bytes : 1);
}

void* operator new(std::size_t bytes) {
  if (void* memory = operator new(bytes, std::nothrow)) return memory;
  throw std::bad_alloc();
}

void operator delete(void* memory) noexcept { std::free(memory); }

void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace gpucnn {

std::int64_t allocation_count() { return calls; }

void fail_allocation_after(std::int64_t allocations) { before_failure = allocations; }

}  // namespace gpucnn
