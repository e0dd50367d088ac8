#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// A file that appears under its name whole or not at all, also after a power cut: it is written beside it under another name,
/// flushed to the disk and renamed. Without `commit` nothing remains. All calls throw `OutputError` when the system refuses.
///
/// A process that is killed leaves the other name behind. Whoever writes a file in that folder next removes it: the living hold a
/// lock on theirs.
class GPUCNN_API AtomicFile {
 public:
  /// Creates the temporary file in the folder of `path`, with the permissions of the file that is there. Follows `path` if it is a
  /// symbolic link to a file. Refuses a folder, a device, a pipe, and a link to nothing.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  /// Flushes the file to the disk and gives it its name, over an older file.
  void commit();

 private:
  void create();
  void release() noexcept;
  [[noreturn]] void fail(int error) const;
  void check(int result) const;

  std::string name_;  // as the caller wrote it, for messages
  std::filesystem::path target_;
  std::filesystem::path temporary_;  // empty once it is gone
  int fd_ = -1, lock_ = -1, folder_ = -1;
};

}  // namespace gpucnn
