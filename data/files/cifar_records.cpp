#include <gpucnn/data/files/cifar_records.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include <gpucnn/core/error.h>
#include <gpucnn/core/host/input_file.h>
#include <gpucnn/core/memory/layout.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/data/files/is_folder.h>

namespace gpucnn {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPixels = 3 * 32 * 32;
constexpr std::uintmax_t kMaxNamesSize = 4096;  // bytes: far more than a hundred short names take
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
std::string hint_of(const CifarFormat& format, const fs::path& dir) {
  std::error_code ignored;
  const fs::path unpacked = dir / format.folder;
  if (fs::exists(unpacked / format.train.front().name, ignored)) return formatted("; give {}, which holds it", unpacked.string());
  const fs::path pickled = fs::path(format.train.front().name).stem();
  if (fs::exists(dir / format.python, ignored) || fs::is_regular_file(dir / pickled, ignored)) {
    return "; this is the version for Python, and the binary version is wanted";
  }
  if (fs::exists(dir / format.archive, ignored)) return formatted("; {} there is not unpacked yet", format.archive);
  return "";
}

void check_directory(const CifarFormat& format, const fs::path& dir) {
  const std::string expected = formatted("a directory with the binary version of {}", format.set),
                    first = format.train.front().name;
  std::error_code ignored;
  if (is_folder(dir, expected)) {
    if (fs::exists(dir / first, ignored)) return;
    if (const std::string hint = hint_of(format, dir); !hint.empty()) {
      throw DataError(dir, 0, expected, formatted("no {}{}", first, hint));
    }
    return;
  }
  if (dir.extension() == ".gz" || dir.extension() == ".tar") throw DataError(dir, 0, expected, "an archive; unpack it first");
  throw DataError(dir, 0, expected, fs::exists(dir.parent_path() / first, ignored) ? "a file; give its folder" : "a file");
}

std::uintmax_t record_size(const CifarFormat& format) { return format.classes.size() + kPixels; }

void check_records(const CifarFormat& format, const CifarFormat::File& file, const fs::path& dir) {
  const fs::path path = dir / file.name;
  const std::uintmax_t wanted = static_cast<std::uintmax_t>(file.records) * record_size(format);
  const std::string expected = formatted("{} bytes ({} records of {})", wanted, file.records, record_size(format));
  const std::uintmax_t size = size_of_file(path, expected);
  if (size != wanted) {
    throw DataError(path, std::min(size, wanted), expected, size ? formatted("{} bytes", size) : "an empty file");
  }
}

std::vector<std::string> read_class_names(const fs::path& path, int classes) {
  const std::string expected = formatted("{} class names, one on each line", classes);
  const std::uintmax_t size = size_of_file(path, expected);
  if (size > kMaxNamesSize) throw DataError(path, kMaxNamesSize, expected, formatted("{} bytes", size));
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
  if (std::ssize(names) != classes) throw DataError(path, size, expected, formatted("{} names", names.size()));
  return names;
}

/// Reads a file's records into a training or test set piece by piece.
class Reader {
 public:
  Reader(const CifarFormat& format, const fs::path& path) : format_(format), file_(path) {}

  /// The next `count` records.
  const std::uint8_t* read(std::int64_t count, std::vector<std::uint8_t>& buffer) {
    const std::size_t record = record_size(format_);
    buffer.resize(static_cast<std::size_t>(count) * record);
    file_.read(offset_, std::as_writable_bytes(std::span(buffer)));
    for (std::size_t at = 0; at < buffer.size(); at += record) {
      for (std::size_t label = 0; label < format_.classes.size(); ++label) {
        if (buffer[at + label] < format_.classes[label]) continue;
        file_.fail(offset_ + at + label, formatted("a label from 0 to {}", format_.classes[label] - 1),
                   formatted("{}", buffer[at + label]));
      }
    }
    offset_ += buffer.size();
    return buffer.data();
  }

 private:
  const CifarFormat& format_;
  InputFile file_;
  std::uint64_t offset_ = 0;
};

/// The first `count` records of these files.
TensorDataset read_records(const CifarFormat& format, const fs::path& dir, std::span<const CifarFormat::File> files,
                           std::int64_t count) {
  Tensor images = Tensor::empty({count, 3, 32, 32}, DType::u8);
  Tensor labels = Tensor::empty({count}, DType::i32);
  std::vector<std::uint8_t> buffer;
  std::int64_t done = 0;
  for (const CifarFormat::File& file : files) {
    if (done == count) break;
    Reader reader(format, dir / file.name);
    const std::int64_t end = std::min(count, done + file.records);
    while (done < end) {
      const std::int64_t some = std::min(kChunk, end - done);
      const std::uint8_t* records = reader.read(some, buffer);
      auto* pixels = images.bytes() + static_cast<std::size_t>(done) * kPixels;
      auto* label = labels.data<std::int32_t>() + done;
      parallel_ranges(some, kGrain, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last; ++i) {
          const std::uint8_t* record = records + static_cast<std::size_t>(i) * record_size(format);
          label[i] = record[format.label];
          layout::to_memory(reinterpret_cast<const std::byte*>(record + format.classes.size()),
                            pixels + static_cast<std::size_t>(i) * kPixels, {1, 3, 32, 32}, 1);
        }
      });
      done += some;
    }
  }
  return {std::move(images), labels};
}

}  // namespace

DatasetSplits load_cifar(const CifarFormat& format, const fs::path& dir, std::optional<std::int64_t> limit) {
  check_directory(format, dir);
  std::int64_t learned = 0;
  for (const CifarFormat::File& file : format.train) {
    check_records(format, file, dir);
    learned += file.records;
  }
  check_records(format, format.test, dir);
  std::vector<std::string> class_names = read_class_names(dir / format.names, format.classes[format.label]);
  return {read_records(format, dir, format.train, std::min(limit.value_or(learned), learned)),
          read_records(format, dir, {&format.test, 1}, std::min(limit.value_or(format.test.records), format.test.records)),
          std::move(class_names)};
}

}  // namespace gpucnn
