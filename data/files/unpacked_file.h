#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include <gpucnn/core/host/input_file.h>

namespace gpucnn {

/// What a file holds, from its beginning to its end. A gzip file (RFC 1952, also of several members) is unpacked; its first two
/// bytes tell it, whatever its name is. Memory does not grow with the file. All calls throw `DataError`; offsets are those of the
/// unpacked bytes, but where the gzip data itself is damaged.
class UnpackedFile {
 public:
  explicit UnpackedFile(const std::filesystem::path& path);
  ~UnpackedFile();
  UnpackedFile(const UnpackedFile&) = delete;
  UnpackedFile& operator=(const UnpackedFile&) = delete;

  /// The most bytes that the file can hold: of a gzip file 1,032 for each of its own, which is deflate's limit.
  std::uint64_t max_size() const noexcept;
  bool is_packed() const noexcept { return static_cast<bool>(inflater_); }
  /// How many bytes were read or skipped.
  std::uint64_t offset() const noexcept { return offset_; }

  /// Fills `bytes` with the next.
  void read(std::span<std::byte> bytes);
  /// Passes over `count` bytes.
  void skip(std::uint64_t count);
  /// Throws if more follows. A gzip file's checksum is compared here at the latest.
  void require_end();

  [[noreturn]] void fail(std::uint64_t offset, const std::string& expected, const std::string& found) const;

 private:
  class Inflater;

  InputFile file_;
  std::unique_ptr<Inflater> inflater_;  // none: the file is what it holds
  std::uint64_t offset_ = 0;
};

}  // namespace gpucnn
