#include "train/allocations.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <new>

// In a file of its own: a compiler that sees through only one of new and delete takes them for a mismatch. Every allocation of this
// test program, oneDNN's included, comes through here.
namespace {

std::atomic<std::int64_t> ours{0}, onednns{0};
std::atomic<std::size_t> largest{0};
thread_local bool in_onednn = false;

void note_size(std::size_t bytes) {
  for (std::size_t before = largest; before < bytes && !largest.compare_exchange_weak(before, bytes);) continue;
}

/// Null if there is no memory.
void* counted(std::size_t bytes, std::size_t alignment) noexcept {
  ++(in_onednn ? onednns : ours);
  note_size(bytes);
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  return std::aligned_alloc(alignment, rounded ? rounded : alignment);
}

void* counted_or_thrown(std::size_t bytes, std::size_t alignment) {
  if (void* memory = counted(bytes, alignment)) return memory;
  throw std::bad_alloc();
}

/// The function of this name that would be called if the one here were not.
template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

void* operator new(std::size_t bytes) { return counted_or_thrown(bytes, alignof(std::max_align_t)); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted_or_thrown(bytes, static_cast<std::size_t>(alignment));
}
// As std::stable_sort allocates. AddressSanitizer has one of its own, whose memory the delete below may not free.
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return counted(bytes, alignof(std::max_align_t)); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

// oneDNN's own large blocks.
extern "C" int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) noexcept {
  static const auto allocate = next<int(void**, std::size_t, std::size_t)>("posix_memalign");
  note_size(bytes);
  return allocate(memory, alignment, bytes);
}

extern "C" int dnnl_primitive_execute(const void* primitive, void* stream, int count, const void* arguments) {
  static const auto execute = next<int(const void*, void*, int, const void*)>("dnnl_primitive_execute");
  in_onednn = true;
  const int status = execute(primitive, stream, count, arguments);
  in_onednn = false;
  return status;
}

namespace gpucnn {

Allocations take_allocations() { return {ours.exchange(0), onednns.exchange(0), largest.exchange(0)}; }

}  // namespace gpucnn
