#include "data/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

// In a file of its own: a compiler that sees through only one of new and delete takes them for a mismatch.
namespace {
std::atomic<std::int64_t> calls{0};
}  // namespace

void* operator new(std::size_t bytes) {
  ++calls;
  if (void* memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}

void operator delete(void* memory) noexcept { std::free(memory); }

void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace gpucnn {

std::int64_t allocation_count() { return calls; }

}  // namespace gpucnn
