// Loaded before a program: system calls are interrupted by signals. Three of four calls of each kind fail with EINTR, and a timer
// sends a signal every 500 microseconds, whose handler does not ask the system to go on with what it was doing.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>

namespace {

std::atomic<unsigned> calls[16];

bool interrupted(int kind) {
  if (calls[kind].fetch_add(1) % 4 == 3) return false;
  errno = EINTR;
  return true;
}

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

mode_t mode_in(int flags, va_list arguments) { return flags & O_CREAT ? va_arg(arguments, mode_t) : 0; }

[[gnu::constructor]] void start_timer() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, nullptr);
  const itimerval often{{0, 500}, {0, 500}};
  setitimer(ITIMER_REAL, &often, nullptr);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return interrupted(0) ? -1 : next<int(const char*, int, ...)>("open")(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  return interrupted(1) ? -1 : next<int(const char*, int, ...)>("open64")(path, flags, mode);
}

std::FILE* fopen(const char* path, const char* mode) {
  return interrupted(2) ? nullptr : next<std::FILE*(const char*, const char*)>("fopen")(path, mode);
}

ssize_t read(int fd, void* to, size_t count) {
  return interrupted(3) ? -1 : next<ssize_t(int, void*, size_t)>("read")(fd, to, count);
}

ssize_t pread(int fd, void* to, size_t count, off_t at) {
  return interrupted(4) ? -1 : next<ssize_t(int, void*, size_t, off_t)>("pread")(fd, to, count, at);
}

ssize_t write(int fd, const void* from, size_t count) {
  return interrupted(5) ? -1 : next<ssize_t(int, const void*, size_t)>("write")(fd, from, count);
}

int fsync(int fd) { return interrupted(6) ? -1 : next<int(int)>("fsync")(fd); }

// As Linux does it: closed, and interrupted all the same.
int close(int fd) {
  const int result = next<int(int)>("close")(fd);
  return interrupted(7) ? -1 : result;
}

int mkdir(const char* path, mode_t mode) noexcept {
  return interrupted(8) ? -1 : next<int(const char*, mode_t)>("mkdir")(path, mode);
}

int rename(const char* from, const char* to) noexcept {
  return interrupted(9) ? -1 : next<int(const char*, const char*)>("rename")(from, to);
}

}  // extern "C"
