#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace gpucnn {

/// A regular file, open for reading. Signals do not end a call early. All calls throw `DataError`.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& name() const noexcept { return name_; }
  std::uint64_t size() const noexcept { return size_; }

  /// Fills `bytes` with what stands at `offset`.
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;

  [[noreturn]] void fail(std::uint64_t offset, const std::string& expected, const std::string& found) const;

 private:
  std::string name_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace gpucnn
