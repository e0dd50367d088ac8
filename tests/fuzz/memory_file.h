#pragma once

#include <filesystem>
#include <string_view>

namespace fuzz {

/// A file that lies in memory, under a path that a reader can open: a million of them need no disk.
class MemoryFile {
 public:
  MemoryFile();
  ~MemoryFile();
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  /// The file holds these bytes from now on.
  void set(std::string_view bytes);
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  int fd_;
  std::filesystem::path path_;
};

}  // namespace fuzz
