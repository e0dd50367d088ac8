#include "common/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <system_error>

#include <fmt/format.h>

#include <gpucnn/gpucnn.h>

#include "common/exit_code.h"
#include "common/retry.h"

namespace {

/// A file that is closed at the end.
class Opened {
 public:
  // Opening a pipe would wait for whoever writes into it.
  explicit Opened(const std::filesystem::path& file)
      : fd_(retry([&] { return open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC); })) {}
  ~Opened() {
    if (fd_ >= 0) close(fd_);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace

std::string read_text(const std::filesystem::path& file) {
  const auto fail = [&](const std::string& why) -> void { throw CheckpointError(fmt::format("{}: {}", file.string(), why)); };
  const Opened opened(file);
  struct stat status {};
  if (opened.fd() < 0 || fstat(opened.fd(), &status) != 0) fail(std::generic_category().message(errno));
  if (!S_ISREG(status.st_mode)) fail("it is not a file");
  std::string text;
  std::array<char, 4096> part{};
  while (true) {
    const ssize_t count = retry([&] { return read(opened.fd(), part.data(), part.size()); });
    if (count < 0) fail(std::generic_category().message(errno));
    if (count == 0) return text;
    text.append(part.data(), static_cast<std::size_t>(count));
  }
}

void write_text(const std::filesystem::path& file, const std::string& text) {
  gpucnn::AtomicFile atomic(file);
  atomic.write(text);
  atomic.commit();
}
