// Loaded before a program: from main's allocation FAIL_FROM on there is no memory. What is allocated before main belongs to other
// libraries' start, of which cudart's does not check it. At the end of a program that was given a file name in COUNT_TO, the number
// of its allocations stands there.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
}

namespace {

std::atomic<long> allocations{0};
std::atomic<long> fail_from{0};  // 0: never

bool fails() noexcept {
  const long first = fail_from;
  if (++allocations < first || first == 0) return false;
  errno = ENOMEM;
  return true;
}

using Main = int(int, char**, char**);
Main* program = nullptr;

int counted_main(int argc, char** argv, char** environment) {
  const char* from = std::getenv("FAIL_FROM");
  allocations = 0;
  fail_from = from ? std::atol(from) : 0;
  return program(argc, argv, environment);
}

[[gnu::destructor]] void end() {
  const char* to = std::getenv("COUNT_TO");
  if (!to) return;
  char text[32];
  const char* const text_end = std::to_chars(text, text + sizeof text, allocations.load()).ptr;
  const int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd < 0 || write(fd, text, static_cast<std::size_t>(text_end - text)) < 0) std::abort();
  close(fd);
}

}  // namespace

extern "C" {

/// What calls main, of the C library.
int __libc_start_main(Main* main, int argc, char** argv, void (*init)(), void (*fini)(), void (*rtld_fini)(), void* stack_end) {
  program = main;
  const auto start = reinterpret_cast<decltype(&__libc_start_main)>(dlsym(RTLD_NEXT, "__libc_start_main"));
  return start(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}

void* malloc(std::size_t size) { return fails() ? nullptr : __libc_malloc(size); }
void* calloc(std::size_t count, std::size_t size) { return fails() ? nullptr : __libc_calloc(count, size); }
void* realloc(void* block, std::size_t size) { return fails() ? nullptr : __libc_realloc(block, size); }
void* memalign(std::size_t alignment, std::size_t size) { return fails() ? nullptr : __libc_memalign(alignment, size); }
void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }
int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  if (fails()) return ENOMEM;
  *block = __libc_memalign(alignment, size);
  return *block ? 0 : ENOMEM;
}

}  // extern "C"
