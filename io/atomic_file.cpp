#include <gpucnn/io/atomic_file.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/core/host/retry.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = ".gpucnn-", kSuffix = ".tmp";

/// The file that `path` stands for, or throws what it is instead.
fs::path resolve(const fs::path& path) {
  if (path.empty()) throw OutputError(path.string(), "its name is empty");
  std::error_code ignored;
  const fs::file_type type = fs::status(path, ignored).type();
  const bool is_link = fs::is_symlink(path, ignored);
  if (type == fs::file_type::directory || !path.has_filename()) throw OutputError(path.string(), "it is a directory");
  if (type == fs::file_type::not_found && is_link) {
    throw OutputError(path.string(), "it is a symbolic link to a file that is not there");
  }
  if (type != fs::file_type::not_found && type != fs::file_type::none && type != fs::file_type::regular) {
    throw OutputError(path.string(), "it is a device or a pipe, not a file");
  }
  std::error_code error;
  return type == fs::file_type::regular && is_link ? fs::canonical(path, error) : path;
}

fs::path folder_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path() : fs::path("."); }

/// Whether this call alone has the lock of an open file. A file system without locks gives it to nobody.
bool lock(int fd) {
  return retry([&] { return flock(fd, LOCK_EX | LOCK_NB); }) == 0;
}

/// Removes a temporary file unless a process that lives writes it.
void remove_if_stale(const fs::path& file) {
  const int fd = retry([&] { return open(file.c_str(), O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC); });
  if (fd < 0) return;
  struct stat status {};
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && lock(fd)) unlink(file.c_str());
  close(fd);
}

/// Removes what killed processes left in a folder. What cannot be seen or removed stays.
void remove_stale_files(const fs::path& folder) {
  // A std::filesystem::directory_iterator ends the program where there is no memory.
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(opendir(folder.c_str()), closedir);
  if (!opened) return;
  while (const dirent* entry = readdir(opened.get())) {
    const std::string_view name = entry->d_name;
    if (name.starts_with(kPrefix) && name.ends_with(kSuffix)) remove_if_stale(folder / name);
  }
}

/// A file system may be unable to flush a folder, and then keeps names by other means.
bool cannot_flush(int error) { return error == EINVAL || error == ENOTSUP || error == EROFS; }

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : name_(path.string()), target_(resolve(path)) {
  try {
    create();
  } catch (...) {
    release();
    throw;
  }
}

void AtomicFile::create() {
  static std::atomic<unsigned> count{0};
  const fs::path folder = folder_of(target_);
  folder_ = retry([&] { return open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (folder_ < 0 && errno == ENOENT) throw OutputError(name_, formatted("there is no folder {}", folder.string()));
  if (folder_ < 0 && errno != EACCES) fail(errno);  // a folder may take files without showing them
  remove_stale_files(folder);
  while (true) {
    temporary_ = folder / formatted("{}{}-{}{}", kPrefix, getpid(), count++, kSuffix);
    fd_ = retry([&] { return open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
    if (fd_ < 0 && errno == EEXIST) continue;
    if (fd_ < 0) temporary_.clear(), fail(errno);
    // Another process may have taken it for a stale one before it was locked.
    const bool is_taken = !lock(fd_) && errno == EWOULDBLOCK;
    struct stat status {};
    check(fstat(fd_, &status));
    if (!is_taken && status.st_nlink > 0) break;
    close(std::exchange(fd_, -1));
  }
  check(lock_ = retry([&] { return fcntl(fd_, F_DUPFD_CLOEXEC, 0); }));
  struct stat now {
  }, wanted{};
  check(fstat(fd_, &now));
  if (stat(target_.c_str(), &wanted) == 0 && (wanted.st_mode & 07777) != (now.st_mode & 07777)) {
    check(retry([&] { return fchmod(fd_, wanted.st_mode & 07777); }));
  }
}

AtomicFile::~AtomicFile() { release(); }

void AtomicFile::release() noexcept {
  if (!temporary_.empty()) unlink(temporary_.c_str());
  for (int* const fd : {&fd_, &lock_, &folder_}) {
    if (*fd >= 0) close(std::exchange(*fd, -1));
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = retry([&] { return ::write(fd_, bytes.data(), std::min(bytes.size(), std::size_t{1} << 30)); });
    if (written < 0) fail(errno);
    if (written == 0) fail(ENOSPC);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  check(retry([&] { return fsync(fd_); }));
  // An interrupted close has closed: a second one might meet another thread's file. The lock stays with its twin.
  if (close(std::exchange(fd_, -1)) != 0 && errno != EINTR) fail(errno);
  check(retry([&] { return rename(temporary_.c_str(), target_.c_str()); }));
  temporary_.clear();
  // So that the new name outlives a power cut.
  if (folder_ >= 0 && retry([&] { return fsync(folder_); }) != 0 && !cannot_flush(errno)) fail(errno);
}

void AtomicFile::check(int result) const {
  if (result < 0) fail(errno);
}

void AtomicFile::fail(int error) const { throw OutputError(name_, std::generic_category().message(error)); }

}  // namespace gpucnn
