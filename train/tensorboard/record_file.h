#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace gpucnn::tensorboard {

/// A new event file in a folder, to which records are appended: a length, its checksum, the bytes and theirs (TFRecord). Readers
/// may look at any time. All calls throw `OutputError` when the system refuses.
class RecordFile {
 public:
  /// Makes the folder, if it is not there, and events.out.tfevents.<seconds>.<host>.<process>.<number> in it. Readers go by the
  /// order of names, so the seconds are later than those of all event files there.
  explicit RecordFile(const std::filesystem::path& folder);
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  /// Appends a record. It is in the file when the call returns; one that cannot be written leaves the file as it was.
  void append(std::string_view bytes);
  /// To the disk.
  void flush();

  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  void write(std::string_view bytes);
  [[noreturn]] void fail(int error) const;

  std::filesystem::path path_;
  int fd_ = -1;
  std::size_t size_ = 0;  // of the records that are whole
};

}  // namespace gpucnn::tensorboard
