#include <gpucnn/core/host/input_file.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>

#include <gpucnn/core/error.h>
#include <gpucnn/core/host/retry.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn {

InputFile::InputFile(const std::filesystem::path& path) : name_(path.string()) {
  // Not blocking: opening a pipe would wait for somebody to write.
  fd_ = retry([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  if (fd_ < 0) fail(0, "a file that can be read", std::generic_category().message(errno));
  struct stat status {};
  const int result = retry([&] { return fstat(fd_, &status); });
  if (result != 0 || !S_ISREG(status.st_mode)) {
    close(fd_);
    fail(0, "a file", result == 0 && S_ISDIR(status.st_mode) ? "a directory" : "a device or a pipe");
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { close(fd_); }

void InputFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const std::size_t count = std::min(bytes.size(), std::size_t{1} << 30);
    const ssize_t got = retry([&] { return pread(fd_, bytes.data(), count, static_cast<off_t>(offset)); });
    if (got < 0) fail(offset, "bytes that can be read", std::generic_category().message(errno));
    if (got == 0) fail(offset, formatted("{} bytes more", bytes.size()), "the end of the file");
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

void InputFile::fail(std::uint64_t offset, const std::string& expected, const std::string& found) const {
  throw DataError(name_, offset, expected, found);
}

}  // namespace gpucnn
