// Loaded before a program: from the allocation FAIL_FROM on there is no memory. At the end of a program that was given a file name
// in COUNT_TO, the number of its allocations stands there.
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

[[gnu::constructor]] void start() {
  allocations = 0;
  const char* from = std::getenv("FAIL_FROM");
  fail_from = from ? std::atol(from) : 0;
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
