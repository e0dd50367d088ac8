#include <gpucnn/train/tensorboard/record_file.h>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <memory>
#include <system_error>

#include <gpucnn/core/error.h>
#include <gpucnn/core/host/host_name.h>
#include <gpucnn/core/host/retry.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/train/tensorboard/crc32c.h>

namespace gpucnn::tensorboard {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kPrefix = "events.out.tfevents.";

std::int64_t seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// The seconds in the name of an event file; 0 for other files.
std::int64_t seconds_in(std::string_view name) {
  std::int64_t seconds = 0;
  if (!name.starts_with(kPrefix)) return 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), seconds);
  return seconds;
}

/// The seconds for a new file: now, or one later than the last file's where the clock is not beyond that.
std::int64_t next_seconds(const fs::path& folder) {
  constexpr std::int64_t kMax = 9'999'999'999;  // ten digits
  std::int64_t next = seconds_now();
  // A std::filesystem::directory_iterator ends the program where there is no memory.
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(opendir(folder.c_str()), closedir);
  while (const dirent* entry = opened ? readdir(opened.get()) : nullptr) next = std::max(next, seconds_in(entry->d_name) + 1);
  return std::min(next, kMax);
}

/// As a part of a file's name.
std::string host_word() {
  std::string host = host_name();
  std::ranges::replace(host, '/', '_');
  return host;
}

/// A number in as many bytes, the lowest first.
template <class Number>
void put(std::string& to, Number number) {
  for (std::size_t i = 0; i < sizeof number; ++i) to += static_cast<char>(number >> 8 * i);
}

}  // namespace

RecordFile::RecordFile(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw OutputError(folder.string(), error.message());
  static std::atomic<unsigned> count{0};
  const std::string start = formatted("{}{:010}.{}.{}", kPrefix, next_seconds(folder), host_word(), getpid());
  do {
    path_ = folder / formatted("{}.{}", start, count++);
    fd_ = retry([&] { return open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  } while (fd_ < 0 && errno == EEXIST);
  if (fd_ < 0) fail(errno);
}

RecordFile::~RecordFile() {
  if (fd_ >= 0) close(fd_);
}

void RecordFile::append(std::string_view bytes) {
  std::string record;
  record.reserve(bytes.size() + 16);
  put(record, static_cast<std::uint64_t>(bytes.size()));
  put(record, masked_crc32c(record));
  record += bytes;
  put(record, masked_crc32c(bytes));
  write(record);
  size_ += record.size();
}

void RecordFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = retry([&] { return ::write(fd_, bytes.data(), std::min(bytes.size(), std::size_t{1} << 30)); });
    if (written > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    const int error = written < 0 ? errno : ENOSPC;
    // Half a record would hide those behind it.
    if (retry([&] { return ftruncate(fd_, static_cast<off_t>(size_)); }) == 0) lseek(fd_, static_cast<off_t>(size_), SEEK_SET);
    fail(error);
  }
}

void RecordFile::flush() {
  if (retry([&] { return fsync(fd_); }) != 0 && errno != EINVAL && errno != ENOTSUP) fail(errno);
}

void RecordFile::fail(int error) const { throw OutputError(path_.string(), std::generic_category().message(error)); }

}  // namespace gpucnn::tensorboard
