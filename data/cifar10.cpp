#include <gpucnn/data/cifar10.h>

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/host/input_file.h>
#include <gpucnn/core/memory/layout.h>
#include <gpucnn/core/threads/parallel.h>

namespace gpucnn {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kRecordsPerFile = 10'000;
constexpr std::int64_t kTrainFiles = 5;
constexpr std::size_t kPixels = 3 * 32 * 32;
constexpr std::size_t kRecord = 1 + kPixels;
constexpr std::uintmax_t kFileSize = kRecordsPerFile * kRecord;
constexpr int kClasses = 10;
constexpr std::uintmax_t kLongestNames = 4096;  // bytes; the published file has 61
constexpr std::int64_t kChunk = 500;            // records read at once
constexpr std::int64_t kGrain = 50;             // records a task

/// The size of a regular file. Throws `DataError` for anything else.
std::uintmax_t size_of_file(const fs::path& path, const std::string& expected) {
  std::error_code failure;
  const fs::file_status status = fs::status(path, failure);
  if (status.type() == fs::file_type::not_found) throw DataError(path, 0, expected, "no such file");
  if (status.type() == fs::file_type::directory) throw DataError(path, 0, expected, "a directory");
  if (!failure && status.type() != fs::file_type::regular) throw DataError(path, 0, expected, "something that is no file");
  const std::uintmax_t size = failure ? 0 : fs::file_size(path, failure);
  if (failure) throw DataError(path, 0, expected, failure.message());
  return size;
}

/// Where the set is instead, in words, if `dir` holds it in one of the ways in which it is published.
std::string hint_of(const fs::path& dir) {
  std::error_code ignored;
  const fs::path unpacked = dir / "cifar-10-batches-bin";
  if (fs::exists(unpacked / "data_batch_1.bin", ignored)) return fmt::format("; give {}, which holds it", unpacked.string());
  if (fs::exists(dir / "cifar-10-batches-py", ignored) || fs::exists(dir / "data_batch_1", ignored)) {
    return "; this is the version for Python, and the binary version is wanted";
  }
  if (fs::exists(dir / "cifar-10-binary.tar.gz", ignored)) return "; cifar-10-binary.tar.gz there is not unpacked yet";
  return "";
}

void check_directory(const fs::path& dir) {
  const char* expected = "a directory with the binary version of CIFAR-10";
  std::error_code failure;
  const fs::file_status status = fs::status(dir, failure);
  if (status.type() == fs::file_type::not_found) throw DataError(dir, 0, expected, "no such directory");
  if (status.type() == fs::file_type::directory) {
    if (fs::exists(dir / "data_batch_1.bin", failure)) return;
    if (const std::string hint = hint_of(dir); !hint.empty()) throw DataError(dir, 0, expected, "no data_batch_1.bin" + hint);
    return;
  }
  if (failure) throw DataError(dir, 0, expected, failure.message());
  if (dir.extension() == ".gz" || dir.extension() == ".tar") throw DataError(dir, 0, expected, "an archive; unpack it first");
  throw DataError(dir, 0, expected,
                  fs::exists(dir.parent_path() / "data_batch_1.bin", failure) ? "a file; give its folder" : "a file");
}

void check_records(const fs::path& path) {
  const std::string expected = fmt::format("{} bytes ({} records of {})", kFileSize, kRecordsPerFile, kRecord);
  const std::uintmax_t size = size_of_file(path, expected);
  if (size != kFileSize) {
    throw DataError(path, std::min(size, kFileSize), expected, size ? fmt::format("{} bytes", size) : "an empty file");
  }
}

std::vector<std::string> read_class_names(const fs::path& path) {
  const std::string expected = fmt::format("{} class names, one on each line", kClasses);
  const std::uintmax_t size = size_of_file(path, expected);
  if (size > kLongestNames) throw DataError(path, kLongestNames, expected, fmt::format("{} bytes", size));
  std::string text(size, '\0');
  InputFile(path).read(0, std::as_writable_bytes(std::span(text)));
  std::vector<std::string> names;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) names.push_back(std::move(line));
    at = end + 1;
  }
  if (names.size() != kClasses) throw DataError(path, size, expected, fmt::format("{} names", names.size()));
  return names;
}

/// Reads a file's records into a training or test set piece by piece.
class Reader {
 public:
  explicit Reader(const fs::path& path) : file_(path) {}

  /// The next `count` records.
  const std::uint8_t* read(std::int64_t count, std::vector<std::uint8_t>& buffer) {
    buffer.resize(static_cast<std::size_t>(count) * kRecord);
    file_.read(offset_, std::as_writable_bytes(std::span(buffer)));
    for (std::size_t at = 0; at < buffer.size(); at += kRecord) {
      if (buffer[at] >= kClasses) {
        file_.fail(offset_ + at, fmt::format("a label from 0 to {}", kClasses - 1), fmt::format("{}", buffer[at]));
      }
    }
    offset_ += buffer.size();
    return buffer.data();
  }

 private:
  InputFile file_;
  std::uint64_t offset_ = 0;
};

/// The first `count` records of these files.
TensorDataset read_records(const std::vector<fs::path>& paths, std::int64_t count) {
  Tensor images = Tensor::empty({count, 3, 32, 32}, DType::u8);
  Tensor labels = Tensor::empty({count}, DType::i32);
  std::vector<std::uint8_t> buffer;
  std::int64_t done = 0;
  for (const fs::path& path : paths) {
    if (done == count) break;
    Reader reader(path);
    const std::int64_t end = std::min(count, done + kRecordsPerFile);
    while (done < end) {
      const std::int64_t some = std::min(kChunk, end - done);
      const std::uint8_t* records = reader.read(some, buffer);
      auto* pixels = images.bytes() + static_cast<std::size_t>(done) * kPixels;
      auto* label = labels.data<std::int32_t>() + done;
      parallel_ranges(some, kGrain, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) {
          const std::uint8_t* record = records + static_cast<std::size_t>(i) * kRecord;
          label[i] = record[0];
          layout::to_memory(reinterpret_cast<const std::byte*>(record + 1), pixels + static_cast<std::size_t>(i) * kPixels,
                            {1, 3, 32, 32}, 1);
        }
      });
      done += some;
    }
  }
  return {std::move(images), labels};
}

}  // namespace

DatasetSplits load_cifar10(const fs::path& dir, std::optional<std::int64_t> limit) {
  if (limit && *limit < 1) throw std::invalid_argument(fmt::format("load_cifar10: limit must be >= 1, got {}", *limit));
  check_directory(dir);
  std::vector<fs::path> train, test{dir / "test_batch.bin"};
  for (std::int64_t i = 1; i <= kTrainFiles; ++i) train.push_back(dir / fmt::format("data_batch_{}.bin", i));
  for (const fs::path& path : train) check_records(path);
  check_records(test.front());
  std::vector<std::string> class_names = read_class_names(dir / "batches.meta.txt");
  const std::int64_t most = limit.value_or(kTrainFiles * kRecordsPerFile);
  return {read_records(train, std::min(most, kTrainFiles * kRecordsPerFile)), read_records(test, std::min(most, kRecordsPerFile)),
          std::move(class_names)};
}

}  // namespace gpucnn
