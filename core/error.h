#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include <gpucnn/core/export.h>

namespace gpucnn {

/// A failure outside the program: a missing file, a full disk, a device that is not there. Misuse of the library is
/// `std::invalid_argument` (a wrong shape, dtype, device or value) or `std::logic_error` (calls in a wrong order) instead.
class GPUCNN_API Error : public std::runtime_error {
 public:
  /// `message` may quote a file: see `printable`.
  explicit Error(const std::string& message);
  ~Error() override;
};

/// A device that is missing, unusable, or whose call failed.
class GPUCNN_API DeviceError : public Error {
 public:
  using Error::Error;
  ~DeviceError() override;
};

/// A device has no room for a block of memory. Nothing has changed: smaller work may go on. All figures are bytes.
class GPUCNN_API OutOfMemory : public Error {
 public:
  /// `device` is the device's name; `asked` the block wanted, `free` what the device had, `held` what this process holds.
  OutOfMemory(const std::string& device, std::uint64_t asked, std::uint64_t free, std::uint64_t held);
  ~OutOfMemory() override;

  std::uint64_t asked() const noexcept { return asked_; }
  std::uint64_t free() const noexcept { return free_; }
  std::uint64_t held() const noexcept { return held_; }

 private:
  std::uint64_t asked_, free_, held_;
};

/// A file that could not be read or does not hold what it should.
class GPUCNN_API DataError : public Error {
 public:
  /// `offset` is the byte at which the file departs from `expected`; `found` is what stood there instead.
  DataError(const std::string& file, std::uint64_t offset, const std::string& expected, const std::string& found);
  ~DataError() override;

  const std::string& file() const noexcept { return file_; }
  std::uint64_t offset() const noexcept { return offset_; }
  const std::string& expected() const noexcept { return expected_; }
  const std::string& found() const noexcept { return found_; }

 private:
  std::string file_;
  std::uint64_t offset_;
  std::string expected_, found_;
};

/// A file that could not be written. What stood under its name before is untouched.
class GPUCNN_API OutputError : public Error {
 public:
  OutputError(const std::string& file, const std::string& reason);
  ~OutputError() override;

  const std::string& file() const noexcept { return file_; }

 private:
  std::string file_;
};

}  // namespace gpucnn
