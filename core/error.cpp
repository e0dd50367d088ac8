#include <gpucnn/core/error.h>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/printable.h>

namespace gpucnn {

Error::Error(const std::string& message) : std::runtime_error(printable(message)) {}

// Defined here so that each class has one home for its type information and can be caught across a shared library.
Error::~Error() = default;
DeviceError::~DeviceError() = default;
OutOfMemory::~OutOfMemory() = default;
DataError::~DataError() = default;
OutputError::~OutputError() = default;

namespace {

std::string mebibytes(std::uint64_t bytes) { return formatted("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }

}  // namespace

OutOfMemory::OutOfMemory(const std::string& device, std::uint64_t asked, std::uint64_t free, std::uint64_t held)
    : Error(formatted("out of memory on {}: asked for {}, {} free, {} held by this process; use a smaller batch", device,
                      mebibytes(asked), mebibytes(free), mebibytes(held))),
      asked_(asked),
      free_(free),
      held_(held) {}

/// Byte 0 is not told: it stands also for a file or a folder as a whole.
DataError::DataError(const std::string& file, std::uint64_t offset, const std::string& expected, const std::string& found)
    : Error(formatted("{}: {}expected {}, found {}", file, offset == 0 ? "" : formatted("at byte {}: ", offset), expected, found)),
      file_(file),
      offset_(offset),
      expected_(expected),
      found_(found) {}

OutputError::OutputError(const std::string& file, const std::string& reason)
    : Error(formatted("{}: cannot be written: {}", file, reason)), file_(file) {}

}  // namespace gpucnn
