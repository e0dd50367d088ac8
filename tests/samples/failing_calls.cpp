// Loaded before a program: one of its system calls on the files of a folder fails. FAIL_IN is the folder, FAIL_CALL names the
// function, FAIL_AT tells which call of it, from 1, and FAIL_HOW how: ENOSPC, EIO, EINTR, or short for a write of one byte.
// COUNT_TO is a file that gets the number of such calls at the end.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

std::atomic<long> calls;

template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

const char* setting(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// Whether an open file, or folder, is in the folder FAIL_IN, or is that.
bool is_inside(int fd) {
  std::array<char, 64> link{};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", fd);
  std::array<char, PATH_MAX> path{};
  return readlink(link.data(), path.data(), path.size() - 1) > 0 && std::strstr(path.data(), setting("FAIL_IN"));
}

/// Counts a call of `function`. Whether it is the one that fails; errno says how.
bool fails(const char* function) {
  if (std::strcmp(setting("FAIL_CALL"), function) != 0 || calls.fetch_add(1) + 1 != std::atol(setting("FAIL_AT"))) return false;
  const char* how = setting("FAIL_HOW");
  errno = std::strcmp(how, "EIO") == 0 ? EIO : std::strcmp(how, "EINTR") == 0 ? EINTR : ENOSPC;
  return true;
}

bool is_short() { return std::strcmp(setting("FAIL_HOW"), "short") == 0; }

int open_as(const char* name, const char* path, int flags, mode_t mode) {
  if (std::strstr(path, setting("FAIL_IN")) && fails("open")) return -1;
  return next<int(const char*, int, ...)>(name)(path, flags, mode);
}

[[gnu::destructor]] void write_count() {
  if (std::FILE* file = *setting("COUNT_TO") ? std::fopen(setting("COUNT_TO"), "w") : nullptr) {
    std::fprintf(file, "%ld\n", calls.load());
    std::fclose(file);
  }
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_as("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_as("open64", path, flags, mode);
}

ssize_t write(int fd, const void* from, size_t count) {
  if (is_inside(fd) && fails("write")) {
    if (!is_short()) return -1;
    count = 1;
  }
  return next<ssize_t(int, const void*, size_t)>("write")(fd, from, count);
}

int fsync(int fd) { return is_inside(fd) && fails("fsync") ? -1 : next<int(int)>("fsync")(fd); }

// As Linux does it: the file is closed all the same.
int close(int fd) {
  const bool inside = is_inside(fd);
  const int result = next<int(int)>("close")(fd);
  return inside && fails("close") ? -1 : result;
}

int rename(const char* from, const char* to) noexcept {
  return fails("rename") ? -1 : next<int(const char*, const char*)>("rename")(from, to);
}

}  // extern "C"
