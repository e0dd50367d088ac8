#include <gpucnn/data/files/open_image_folder.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/random.h>
#include <gpucnn/data/files/pixel_statistics.h>
#include <gpucnn/data/image/image_folder.h>
#include <gpucnn/data/sampling/random_split.h>
#include <gpucnn/data/sampling/shuffle.h>

namespace gpucnn {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kTrainPerTest = 10;        // of ten images one is judged by
constexpr std::size_t kChunk = 256;               // images decoded at once
constexpr std::int64_t kMeasuredImages = 10'000;  // of those that do not lie in memory
constexpr std::uint32_t kSome = 3;                // of the streams for shuffling: which images are taken of many

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::vector<std::string> subfolders(const fs::path& dir) {
  std::vector<std::string> names;
  std::error_code failure;
  for (fs::directory_iterator entry(dir, failure), end; !failure && entry != end; entry.increment(failure)) {
    std::string name = entry->path().filename().string();
    if (!name.starts_with('.') && is_folder(entry->path())) names.push_back(std::move(name));
  }
  return names;
}

ImageFolderOptions folder_options(const OpenDatasetOptions& options) {
  ImageFolderOptions folder{.skip_damaged = options.skip_damaged};
  if (options.image_size) folder.resize = ResizeOptions{.size = *options.image_size, .resize = *options.image_size};
  return folder;
}

/// The numbers of `count` images of the folder: files are sorted by class, so they are drawn.
std::vector<std::int64_t> some_of(std::int64_t size, std::int64_t count) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(size));
  std::iota(numbers.begin(), numbers.end(), 0);
  if (count >= size) return numbers;
  shuffle(numbers, RandomStream(0, Purpose::shuffle, kSome));
  numbers.resize(static_cast<std::size_t>(count));
  std::ranges::sort(numbers);
  return numbers;
}

/// A piece after the other, so that no more than that lies in memory twice.
template <class Use>
void for_each_chunk(const Dataset& images, std::span<const std::int64_t> numbers, const Use& use) {
  for (std::size_t first = 0; first < numbers.size(); first += kChunk) {
    use(static_cast<std::int64_t>(first), images.get(numbers.subspan(first, std::min(kChunk, numbers.size() - first))));
  }
}

/// A folder whose images lie in memory, if all are wanted and there is room.
class Images {
 public:
  Images(const fs::path& dir, const OpenDatasetOptions& options)
      : max_bytes_(options.max_bytes),
        folder_(std::make_shared<const ImageFolder>(dir, folder_options(options))),
        most_(std::min(options.limit.value_or(folder_->size()), folder_->size())) {
    if (most_ == folder_->size() && fits(most_)) all_.emplace(folder_->in_memory(max_bytes_));
  }

  const ImageFolder& folder() const { return *folder_; }
  std::shared_ptr<const Dataset> shared_folder() const { return folder_; }
  /// How many images are wanted.
  std::int64_t most() const { return most_; }

  /// These examples: in memory if there is room, else from their files whenever they are asked for.
  std::shared_ptr<const Dataset> take(std::vector<std::int64_t> numbers) const {
    if (!fits(std::ssize(numbers))) return std::make_shared<const Subset>(folder_, std::move(numbers));
    if (all_ && std::ssize(numbers) == folder_->size()) return std::make_shared<const TensorDataset>(*all_);
    const auto count = std::ssize(numbers);
    const Shape image = folder_->image_shape();
    Tensor images = Tensor::empty({count, image[0], image[1], image[2]}, DType::u8), labels = Tensor::empty({count}, DType::i32);
    if (all_) {
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t number = numbers[static_cast<std::size_t>(i)];
        images.narrow(i, 1).copy_from(all_->images().narrow(number, 1));
        labels.narrow(i, 1).copy_from(all_->labels().narrow(number, 1));
      }
    } else {
      for_each_chunk(*folder_, numbers, [&](std::int64_t first, const Batch& some) {
        images.narrow(first, some.inputs.dim(0)).copy_from(some.inputs);
        labels.narrow(first, some.inputs.dim(0)).copy_from(some.labels);
      });
    }
    return std::make_shared<const TensorDataset>(std::move(images), labels);
  }

 private:
  bool fits(std::int64_t count) const {
    return static_cast<std::uint64_t>(count) * static_cast<std::uint64_t>(folder_->image_shape().numel()) <= max_bytes_;
  }

  std::uint64_t max_bytes_;
  std::shared_ptr<const ImageFolder> folder_;
  std::int64_t most_;
  std::optional<TensorDataset> all_;
};

Normalize measure(const Dataset& train) {
  PixelStatistics statistics;
  if (const auto* tensors = dynamic_cast<const TensorDataset*>(&train)) {
    statistics.add(tensors->images());
  } else {
    for_each_chunk(train, some_of(train.size(), kMeasuredImages),
                   [&](std::int64_t, const Batch& some) { statistics.add(some.inputs); });
  }
  return statistics.normalize();
}

std::string difference(const std::vector<std::string>& wanted, const std::vector<std::string>& found) {
  for (const std::string& name : wanted) {
    if (std::ranges::find(found, name) == found.end()) return fmt::format("no class {}", name);
  }
  for (const std::string& name : found) {
    if (std::ranges::find(wanted, name) == wanted.end()) return fmt::format("a class {}, which training has not", name);
  }
  return "";
}

/// The subfolder with the images to be judged by, if `dir` has one beside train/.
fs::path test_folder(const fs::path& dir) {
  if (is_folder(dir / "train")) {
    for (const char* name : {"test", "val"}) {
      if (is_folder(dir / name)) return dir / name;
    }
  }
  return {};
}

}  // namespace

bool has_subfolder(const fs::path& dir) { return !subfolders(dir).empty(); }

OpenedDataset open_image_folder(const fs::path& dir, const OpenDatasetOptions& options) {
  const fs::path test_dir = test_folder(dir);
  const bool train_alone = test_dir.empty() && subfolders(dir) == std::vector<std::string>{"train"};
  const Images images(test_dir.empty() && !train_alone ? dir : dir / "train", options);
  const std::int64_t size = images.folder().size();
  OpenedDataset data{.name = "images", .class_names = images.folder().class_names()};
  data.damaged = images.folder().damaged();
  if (test_dir.empty()) {
    if (size < 2)
      throw DataError(dir.string(), 0, "two images or more, of which a tenth is to be judged by", fmt::format("{}", size));
    const std::int64_t judged = std::max<std::int64_t>(1, size / kTrainPerTest);
    const std::vector<Subset> parts = random_split(images.shared_folder(), {size - judged, judged});
    const auto part = [&](const Subset& of) {
      const auto numbers = of.indices().first(static_cast<std::size_t>(std::min(of.size(), images.most())));
      return images.take({numbers.begin(), numbers.end()});
    };
    data.train = part(parts[0]);
    data.test = part(parts[1]);
  } else {
    const Images judged(test_dir, options);
    if (const std::string differs = difference(data.class_names, judged.folder().class_names()); !differs.empty()) {
      throw DataError(test_dir.string(), 0, "the classes of train/", differs);
    }
    if (judged.folder().image_shape() != images.folder().image_shape()) {
      throw DataError(test_dir.string(), 0, fmt::format("images of {}, as in train/", images.folder().image_shape().string()),
                      judged.folder().image_shape().string());
    }
    data.damaged.insert(data.damaged.end(), judged.folder().damaged().begin(), judged.folder().damaged().end());
    data.train = images.take(some_of(size, images.most()));
    data.test = judged.take(some_of(judged.folder().size(), judged.most()));
  }
  data.normalize = measure(*data.train);
  return data;
}

}  // namespace gpucnn
