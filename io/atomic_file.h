#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace gpucnn {

/// A file that appears under its name whole or not at all: it is written beside it under another name and renamed at the end.
/// Without `commit` nothing remains. All calls throw `OutputError` when the system refuses.
class AtomicFile {
 public:
  /// Creates the temporary file in the folder of `path`. Follows `path` if it is a symbolic link to a file.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);

  /// Flushes the file to the disk and gives it its name, over an older file.
  void commit();

 private:
  [[noreturn]] void fail(int error) const;

  std::string name_;  // as the caller wrote it, for messages
  std::filesystem::path target_;
  std::filesystem::path temporary_;  // empty once it is gone
  int fd_ = -1;
};

}  // namespace gpucnn
