#include <gpucnn/data/image/image_folder.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/data/image/decode_image.h>
#include <gpucnn/data/image/image_files.h>
#include <gpucnn/data/image/image_reader.h>
#include <gpucnn/data/image/resized_pixels.h>
#include <gpucnn/data/image/shared_reading.h>

namespace gpucnn {
namespace {

/// What was thrown for each of some images; null where nothing was.
using Failures = std::vector<std::exception_ptr>;

/// Calls `decode(i)` for i in [0, count) on all threads and keeps what each throws, so that no thread decides what is found. What
/// `on_image` throws is no finding: it ends all of it.
template <class Decode>
Failures decode_all(std::int64_t count, const Decode& decode, const OnImage& on_image) {
  Failures failures(static_cast<std::size_t>(count));
  std::atomic<std::int64_t> done = 0;
  std::atomic<bool> ended = false;
  std::exception_ptr end;
  parallel_ranges(count, 1, [&](std::int64_t i, std::int64_t) {
    if (ended) return;
    try {
      decode(i);
    } catch (...) {
      failures[static_cast<std::size_t>(i)] = std::current_exception();
    }
    if (!on_image) return;
    try {
      on_image(++done, count);
    } catch (...) {
      if (!ended.exchange(true)) end = std::current_exception();
    }
  });
  if (end) std::rethrow_exception(end);
  return failures;
}

void throw_first(const Failures& failures) {
  const auto first = std::ranges::find_if(failures, [](const std::exception_ptr& failure) { return failure != nullptr; });
  if (first != failures.end()) std::rethrow_exception(*first);
}

/// The first damaged image of some, and how many there are, as one text; empty where there is none. Throws what was thrown first
/// where that is something else.
std::string pack_damage(const Failures& failures) {
  const auto whole = std::ranges::count(failures, nullptr);
  try {
    throw_first(failures);
  } catch (const DataError& first) {
    return pack_texts(std::vector{std::to_string(std::ssize(failures) - whole), first.file(), std::to_string(first.offset()),
                                  first.expected(), first.found()});
  }
  return {};
}

/// Throws the first of what the processes have found, and says how many of `count` images are damaged.
void throw_damage(const std::vector<std::string>& found, std::int64_t count) {
  std::vector<std::string> first;
  std::int64_t damaged = 0;
  for (const std::string& packed : found) {
    if (packed.empty()) continue;
    std::vector<std::string> damage = unpack_texts(packed);
    damaged += std::stoll(damage[0]);
    if (first.empty()) first = std::move(damage);
  }
  if (first.empty()) return;
  const std::string all = damaged > 1 ? formatted(" ({} of {} images of the folder are damaged)", damaged, count) : "";
  throw DataError(first[1], std::stoull(first[2]), first[3], first[4] + all);
}

void check_index(std::int64_t index, std::int64_t size) {
  if (index < 0 || index >= size) {
    throw std::invalid_argument(formatted("ImageFolder: there is no image {} among {}", index, size));
  }
}

}  // namespace

ImageFolder::ImageFolder(const std::filesystem::path& dir, const ImageFolderOptions& options) : dir_(dir), options_(options) {
  const ReaderGroup* const group = options_.group.get();
  read_together(group, [&] {
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
  });
  if (group) require_same_files(*group);
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

/// What differs between the processes of a group, the most telling first.
void ImageFolder::require_same_files(const ReaderGroup& group) const {
  const std::string place = " in " + printable(dir_.string());
  require_same_texts(&group, "classes" + place, list_names(class_names_));
  require_same_texts(&group, "images" + place, std::to_string(files_.size()));
  std::string all = shape_.string();
  for (const std::filesystem::path& file : files_) all.append(file.string(), dir_.string().size()).push_back('\0');
  require_same_texts(&group, "files" + place, formatted("the hash {:x}", std::hash<std::string>()(all)));
}

/// Those of the own part, in order: the number and the reason of each, as one text.
std::string ImageFolder::find_damaged() const {
  const BatchPart part = own_part(options_.group.get());
  const auto first = static_cast<std::size_t>(part.first(size()));
  const auto image_bytes = static_cast<std::size_t>(shape_.numel());
  const Failures failures = decode_all(
      part.images(size()),
      [&](std::int64_t i) {
        const std::unique_ptr<std::uint8_t[]> scratch(new std::uint8_t[image_bytes]);
        decode(first + static_cast<std::size_t>(i), scratch.get());
      },
      options_.on_image);
  std::string found;
  for (std::size_t i = 0; i < failures.size(); ++i) {
    try {
      if (failures[i]) std::rethrow_exception(failures[i]);
    } catch (const DataError& damage) {
      found += pack_texts(std::vector<std::string>{std::to_string(first + i), damage.what()});
    }
  }
  return found;
}

void ImageFolder::drop_damaged() {
  std::string own;
  read_together(options_.group.get(), [&] { own = find_damaged(); });
  std::vector<std::size_t> numbers;
  for (const std::string& packed : gather_texts(options_.group.get(), own)) {
    const std::vector<std::string> texts = unpack_texts(packed);
    for (std::size_t i = 0; i < texts.size(); i += 2) {
      numbers.push_back(std::stoull(texts[i]));
      damaged_.push_back({files_[numbers.back()], texts[i + 1]});
    }
  }
  std::vector<std::int64_t> whole(class_names_.size());  // of each class
  std::size_t kept = 0;
  auto damaged = numbers.begin();
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (damaged != numbers.end() && *damaged == i) {
      ++damaged;
      continue;
    }
    ++whole[static_cast<std::size_t>(labels_[i])];
    labels_[kept] = labels_[i];
    if (kept != i) files_[kept] = std::move(files_[i]);
    ++kept;
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

/// Room for these images, and their labels.
Batch ImageFolder::allocate(std::span<const std::int64_t> indices) const {
  const auto count = std::ssize(indices);
  Tensor images = Tensor::empty({count, shape_[0], shape_[1], shape_[2]}, DType::u8), labels = Tensor::empty({count}, DType::i32);
  std::ranges::transform(indices, labels.data<std::int32_t>(),
                         [&](std::int64_t index) { return labels_[static_cast<std::size_t>(index)]; });
  return {std::move(images), std::move(labels)};
}

std::vector<std::exception_ptr> ImageFolder::decode_to(std::span<const std::int64_t> indices, const OnImage& on_image,
                                                       std::uint8_t* images) const {
  return decode_all(
      std::ssize(indices),
      [&](std::int64_t i) { decode(static_cast<std::size_t>(indices[static_cast<std::size_t>(i)]), images + i * shape_.numel()); },
      on_image);
}

Batch ImageFolder::get(std::span<const std::int64_t> indices) const {
  for (const std::int64_t index : indices) check_index(index, size());
  Batch batch = allocate(indices);
  throw_first(decode_to(indices, {}, batch.inputs.data<std::uint8_t>()));
  return batch;
}

TensorDataset ImageFolder::in_memory(std::uint64_t max_bytes) const {
  std::vector<std::int64_t> all(files_.size());
  std::iota(all.begin(), all.end(), 0);
  return in_memory(all, max_bytes);
}

TensorDataset ImageFolder::in_memory(std::span<const std::int64_t> indices, std::uint64_t max_bytes) const {
  const ReaderGroup* const group = options_.group.get();
  const auto count = std::ssize(indices);
  Batch all;
  std::string damage;  // of the own part
  read_together(group, [&] {
    for (const std::int64_t index : indices) check_index(index, size());
    const std::uint64_t image_bytes = static_cast<std::uint64_t>(shape_.numel());
    if (indices.size() > max_bytes / image_bytes) {
      throw DataError(dir_.string(), 0, formatted("images of at most {} bytes in memory", max_bytes),
                      formatted("{} images of {} bytes", indices.size(), image_bytes));
    }
    all = allocate(indices);
    const auto own = own_numbers(group, indices);
    damage = pack_damage(
        decode_to(own, options_.on_image, all.inputs.data<std::uint8_t>() + (own.data() - indices.data()) * shape_.numel()));
  });
  throw_damage(gather_texts(group, damage), count);
  share_images(group, all.inputs);
  return {std::move(all.inputs), all.labels};
}

}  // namespace gpucnn
