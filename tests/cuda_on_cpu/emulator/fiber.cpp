#include "fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if defined(GPUCNN_FIBERS_TELL_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(GPUCNN_FIBERS_TELL_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

// gpucnn_switch_stacks(&old, new): keeps the registers that a call keeps on the stack, the stack in `old`, and goes on with `new`.
extern "C" void gpucnn_switch_stacks(void** old_stack, void* new_stack);
#if defined(__x86_64__)
asm(R"(
.text
.type gpucnn_switch_stacks, @function
.hidden gpucnn_switch_stacks
.globl gpucnn_switch_stacks
gpucnn_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gpucnn_switch_stacks, .-gpucnn_switch_stacks
)");
#elif defined(__aarch64__)
asm(R"(
.text
.type gpucnn_switch_stacks, %function
.hidden gpucnn_switch_stacks
.globl gpucnn_switch_stacks
gpucnn_switch_stacks:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x2, sp
  str x2, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size gpucnn_switch_stacks, .-gpucnn_switch_stacks
)");
#else
#error "the emulator switches stacks on x86-64 and AArch64 only"
#endif

namespace gpucnn::emulator {
namespace {

constexpr std::size_t kStackBytes = 256 * 1024;  // sanitizers make frames large; pages that nobody touches cost nothing

// Where a fiber that starts, or goes on, learns who it is and whom to thank. Only one thread at a time runs fibers.
Fiber* arriving = nullptr;
Fiber* leaving = nullptr;

}  // namespace

Fiber::Fiber(void (*entry)(void*), void* argument) : entry_(entry), argument_(argument) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, kStackBytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, page, PROT_NONE) != 0) {  // below the stack: an overflow stops there
    std::perror("emulator: no memory for a stack");
    std::abort();
  }
  stack_ = static_cast<char*>(memory) + page;
  stack_bytes_ = kStackBytes;
  // What gpucnn_switch_stacks finds: registers, and `start` to return to with the stack as after a call.
#if defined(__x86_64__)
  auto* top = reinterpret_cast<void**>(static_cast<char*>(memory) + page + kStackBytes) - 1;
  *top = nullptr;
  *--top = reinterpret_cast<void*>(&start);
  stack_pointer_ = top - 6;
#else
  auto* frame = reinterpret_cast<void**>(static_cast<char*>(memory) + page + kStackBytes - 160);
  frame[11] = reinterpret_cast<void*>(&start);
  stack_pointer_ = frame;
#endif
#if defined(GPUCNN_FIBERS_TELL_TSAN)
  tsan_fiber_ = __tsan_create_fiber(0);
#endif
}

void Fiber::adopt_caller() {
#if defined(GPUCNN_FIBERS_TELL_TSAN)
  tsan_fiber_ = __tsan_get_current_fiber();
#endif
}

void Fiber::start() {
  Fiber& self = *arriving;
#if defined(GPUCNN_FIBERS_TELL_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &leaving->stack_, &leaving->stack_bytes_);
#endif
  self.entry_(self.argument_);
  std::abort();
}

void Fiber::switch_to(Fiber& next) {
  arriving = &next;
  leaving = this;
#if defined(GPUCNN_FIBERS_TELL_ASAN)
  __sanitizer_start_switch_fiber(&fake_stack_, next.stack_, next.stack_bytes_);
#endif
#if defined(GPUCNN_FIBERS_TELL_TSAN)
  __tsan_switch_to_fiber(next.tsan_fiber_, __tsan_switch_to_fiber_no_sync);
#endif
  gpucnn_switch_stacks(&stack_pointer_, next.stack_pointer_);
#if defined(GPUCNN_FIBERS_TELL_ASAN)
  __sanitizer_finish_switch_fiber(fake_stack_, &leaving->stack_, &leaving->stack_bytes_);
#endif
}

#if defined(GPUCNN_FIBERS_TELL_TSAN)
// Only kernels are watched. The rest is not compiled for ThreadSanitizer, and what it sees of that, calls of memcpy without the
// locks around them, would be taken for races. No second of waiting for other threads at the end.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options() {
  return "ignore_interceptors_accesses=1:atexit_sleep_ms=0";
}

void Fiber::tell_release(void* object, Fiber& running) {
  __tsan_switch_to_fiber(tsan_fiber_, __tsan_switch_to_fiber_no_sync);
  __tsan_release(object);
  __tsan_switch_to_fiber(running.tsan_fiber_, __tsan_switch_to_fiber_no_sync);
}
void Fiber::release(void* object) { __tsan_release(object); }
void Fiber::acquire(void* object) { __tsan_acquire(object); }
#else
void Fiber::tell_release(void*, Fiber&) {}
void Fiber::release(void*) {}
void Fiber::acquire(void*) {}
#endif

}  // namespace gpucnn::emulator
