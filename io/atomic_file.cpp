#include <gpucnn/io/atomic_file.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/core/host/retry.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn {
namespace fs = std::filesystem;

namespace {

/// The file that `path` stands for, or throws what it is instead.
fs::path resolve(const fs::path& path) {
  if (path.empty()) throw OutputError(path.string(), "its name is empty");
  std::error_code ignored;
  const fs::file_type type = fs::status(path, ignored).type();
  if (type == fs::file_type::directory || !path.has_filename()) throw OutputError(path.string(), "it is a directory");
  if (type != fs::file_type::not_found && type != fs::file_type::none && type != fs::file_type::regular) {
    throw OutputError(path.string(), "it is a device or a pipe, not a file");
  }
  std::error_code error;
  return type == fs::file_type::regular && fs::is_symlink(path, ignored) ? fs::canonical(path, error) : path;
}

fs::path folder_of(const fs::path& file) { return file.has_parent_path() ? file.parent_path() : fs::path("."); }

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : name_(path.string()), target_(resolve(path)) {
  static std::atomic<unsigned> count{0};
  do {
    temporary_ = folder_of(target_) / formatted(".gpucnn-{}-{}.tmp", getpid(), count++);
    fd_ = retry([&] { return open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  } while (fd_ < 0 && errno == EEXIST);
  if (fd_ < 0 && errno == ENOENT) throw OutputError(name_, formatted("there is no folder {}", folder_of(target_).string()));
  if (fd_ < 0) fail(errno);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = retry([&] { return ::write(fd_, bytes.data(), std::min(bytes.size(), std::size_t{1} << 30)); });
    if (written < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  if (retry([&] { return fsync(fd_); }) != 0) fail(errno);
  // An interrupted close has closed: a second one might meet another thread's file.
  if (close(std::exchange(fd_, -1)) != 0 && errno != EINTR) fail(errno);
  if (retry([&] { return rename(temporary_.c_str(), target_.c_str()); }) != 0) fail(errno);
  temporary_.clear();
  // So that the new name outlives a power cut. The file is there already, and some file systems cannot flush a folder.
  const int folder = retry([&] { return open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (folder >= 0) {
    retry([&] { return fsync(folder); });
    close(folder);
  }
}

void AtomicFile::fail(int error) const { throw OutputError(name_, std::generic_category().message(error)); }

}  // namespace gpucnn
