#include <gpucnn/data/image/image_folder.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/data/image/decode_image.h>
#include <gpucnn/data/image/image_files.h>
#include <gpucnn/data/image/image_reader.h>
#include <gpucnn/data/image/resized_pixels.h>

namespace gpucnn {
namespace {

/// What was thrown for each of some images; null where nothing was.
using Failures = std::vector<std::exception_ptr>;

/// Calls `decode(i)` for i in [0, count) on all threads and keeps what each throws, so that no thread decides what is found.
template <class Decode>
Failures decode_all(std::int64_t count, const Decode& decode) {
  Failures failures(static_cast<std::size_t>(count));
  parallel_ranges(count, 1, [&](std::int64_t i, std::int64_t) {
    try {
      decode(i);
    } catch (...) {
      failures[static_cast<std::size_t>(i)] = std::current_exception();
    }
  });
  return failures;
}

void throw_first(const Failures& failures) {
  const auto first = std::ranges::find_if(failures, [](const std::exception_ptr& failure) { return failure != nullptr; });
  if (first != failures.end()) std::rethrow_exception(*first);
}

void check_index(std::int64_t index, std::int64_t size) {
  if (index < 0 || index >= size) {
    throw std::invalid_argument(formatted("ImageFolder: there is no image {} among {}", index, size));
  }
}

}  // namespace

ImageFolder::ImageFolder(const std::filesystem::path& dir, const ImageFolderOptions& options) : dir_(dir), options_(options) {
  if (options_.channels != 1 && options_.channels != 3) {
    throw std::invalid_argument(formatted("ImageFolder: channels must be 1 or 3, got {}", options_.channels));
  }
  if (options_.resize) check_resize("ImageFolder", *options_.resize);
  ImageFiles found = find_image_files(dir);
  class_names_ = std::move(found.class_names);
  files_ = std::move(found.files);
  labels_ = std::move(found.labels);
  left_out_ = found.left_out;
  set_shape();
  if (options_.skip_damaged) drop_damaged();
}

void ImageFolder::set_shape() {
  if (options_.resize) {
    shape_ = {options_.channels, options_.resize->size.height, options_.resize->size.width};
    return;
  }
  for (const std::filesystem::path& file : files_) {
    try {
      const std::vector<std::byte> bytes = read_image_file(file);
      const Pixels first = decode_pixels({bytes, file.string(), kMaxImagePixels}, options_.channels);
      shape_ = {first.channels, first.height, first.width};
      return;
    } catch (const DataError&) {
      if (!options_.skip_damaged) throw;
    }
  }
  throw DataError(dir_.string(), 0, "images", formatted("{} files, all of them damaged", files_.size()));
}

void ImageFolder::decode(std::size_t file, std::uint8_t* to) const {
  const std::vector<std::byte> bytes = read_image_file(files_[file]);
  const std::string name = files_[file].string();
  const EncodedImage image{bytes, name, kMaxImagePixels};
  if (options_.resize) return decode_resized(image, options_.channels, *options_.resize, to);
  const Pixels pixels = decode_pixels(image, options_.channels);
  if (pixels.height != shape_[1] || pixels.width != shape_[2]) {
    throw std::invalid_argument(
        formatted("ImageFolder: {} has {}x{} pixels, and the first image {}x{}; with the option resize "
                  "all images come to one size",
                  name, pixels.width, pixels.height, shape_[2], shape_[1]));
  }
  std::memcpy(to, pixels.values.get(), pixels.bytes());
}

void ImageFolder::drop_damaged() {
  const auto image_bytes = static_cast<std::size_t>(shape_.numel());
  const Failures failures = decode_all(size(), [&](std::int64_t i) {
    const std::unique_ptr<std::uint8_t[]> scratch(new std::uint8_t[image_bytes]);
    decode(static_cast<std::size_t>(i), scratch.get());
  });
  std::vector<std::int64_t> whole(class_names_.size());  // of each class
  std::size_t kept = 0;
  for (std::size_t i = 0; i < failures.size(); ++i) {
    try {
      if (failures[i]) std::rethrow_exception(failures[i]);
      ++whole[static_cast<std::size_t>(labels_[i])];
      labels_[kept] = labels_[i];
      if (kept != i) files_[kept] = std::move(files_[i]);
      ++kept;
    } catch (const DataError& damage) {
      damaged_.push_back({files_[i], damage.what()});
    }
  }
  files_.resize(kept);
  labels_.resize(kept);
  const auto none = std::ranges::find(whole, 0);
  if (none == whole.end()) return;
  const std::string& name = class_names_[static_cast<std::size_t>(none - whole.begin())];
  throw DataError((dir_ / name).string(), 0, "an image of the class that is not damaged",
                  formatted("none; {} damaged images in all, the first: {}", damaged_.size(), damaged_.front().reason));
}

const std::filesystem::path& ImageFolder::file(std::int64_t index) const {
  check_index(index, size());
  return files_[static_cast<std::size_t>(index)];
}

std::vector<std::exception_ptr> ImageFolder::decode_to(std::span<const std::int64_t> indices, Tensor& images,
                                                       Tensor& labels) const {
  std::ranges::transform(indices, labels.data<std::int32_t>(),
                         [&](std::int64_t index) { return labels_[static_cast<std::size_t>(index)]; });
  auto* pixels = images.data<std::uint8_t>();
  return decode_all(std::ssize(indices), [&](std::int64_t i) {
    decode(static_cast<std::size_t>(indices[static_cast<std::size_t>(i)]), pixels + i * shape_.numel());
  });
}

Batch ImageFolder::get(std::span<const std::int64_t> indices) const {
  for (const std::int64_t index : indices) check_index(index, size());
  const auto count = std::ssize(indices);
  Tensor images = Tensor::empty({count, shape_[0], shape_[1], shape_[2]}, DType::u8), labels = Tensor::empty({count}, DType::i32);
  throw_first(decode_to(indices, images, labels));
  return {std::move(images), std::move(labels)};
}

TensorDataset ImageFolder::in_memory(std::uint64_t max_bytes) const {
  std::vector<std::int64_t> all(files_.size());
  std::iota(all.begin(), all.end(), 0);
  return in_memory(all, max_bytes);
}

TensorDataset ImageFolder::in_memory(std::span<const std::int64_t> indices, std::uint64_t max_bytes) const {
  for (const std::int64_t index : indices) check_index(index, size());
  const std::uint64_t image_bytes = static_cast<std::uint64_t>(shape_.numel());
  if (indices.size() > max_bytes / image_bytes) {
    throw DataError(dir_.string(), 0, formatted("images of at most {} bytes in memory", max_bytes),
                    formatted("{} images of {} bytes", indices.size(), image_bytes));
  }
  const auto count = std::ssize(indices);
  Tensor images = Tensor::empty({count, shape_[0], shape_[1], shape_[2]}, DType::u8), labels = Tensor::empty({count}, DType::i32);
  const Failures failures = decode_to(indices, images, labels);
  const auto damaged = failures.size() - static_cast<std::size_t>(std::ranges::count(failures, nullptr));
  try {
    throw_first(failures);
  } catch (const DataError& first) {
    if (damaged == 1) throw;
    throw DataError(first.file(), first.offset(), first.expected(),
                    formatted("{} ({} of {} images of the folder are damaged)", first.found(), damaged, count));
  }
  return {std::move(images), labels};
}

}  // namespace gpucnn
