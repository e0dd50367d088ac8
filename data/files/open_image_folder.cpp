#include <gpucnn/data/files/open_image_folder.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

#include <gpucnn/core/error.h>
#include <gpucnn/core/random.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/data/files/pixel_statistics.h>
#include <gpucnn/data/image/image_files.h>
#include <gpucnn/data/image/image_folder.h>
#include <gpucnn/data/image/shared_reading.h>
#include <gpucnn/data/sampling/random_split.h>
#include <gpucnn/data/sampling/shuffle.h>

namespace gpucnn {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kTrainPerTest = 10;                                                   // of ten images one is judged by
constexpr std::size_t kChunk = 256;                                                          // images decoded at once
constexpr std::int64_t kMeasuredImages = 10'000;                                             // of those that do not lie in memory
constexpr std::array<std::string_view, 4> kTestNames{"test", "val", "valid", "validation"};  // beside train/; the first goes first
constexpr std::array<std::string_view, 9> kPartWords{"train", "training",   "test", "testing", "val",
                                                     "valid", "validation", "eval", "dev"};
constexpr std::uint32_t kSome = 3;  // of the streams for shuffling: which images are taken of many

ImageFolderOptions folder_options(const OpenDatasetOptions& options) {
  ImageFolderOptions folder{.skip_damaged = options.skip_damaged, .on_image = options.on_image, .group = options.group};
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

/// Some images of a folder.
struct Examples {
  std::shared_ptr<const ImageFolder> folder;
  std::vector<std::int64_t> numbers;

  std::uint64_t bytes() const { return numbers.size() * static_cast<std::uint64_t>(folder->image_shape().numel()); }

  /// In memory, or from their files whenever they are asked for.
  std::shared_ptr<const Dataset> take(bool in_memory) && {
    if (!in_memory) return std::make_shared<const Subset>(folder, std::move(numbers));
    return std::make_shared<const TensorDataset>(folder->in_memory(numbers, bytes()));
  }
};

/// Both parts; the training images go into memory first.
void load(Examples train, Examples test, const OpenDatasetOptions& options, OpenedDataset& data) {
  const bool train_fits = train.bytes() <= options.max_bytes;
  const bool test_fits = test.bytes() <= options.max_bytes - (train_fits ? train.bytes() : 0);
  if (!options.image_size && !(train_fits && test_fits)) {  // sizes would be seen in an epoch only
    throw std::invalid_argument(
        formatted("open_dataset: images of {} bytes are more than max_bytes, {}, and to read them from their files in every "
                  "epoch image_size must be given",
                  train.bytes() + test.bytes(), options.max_bytes));
  }
  data.train = std::move(train).take(train_fits);
  data.test = std::move(test).take(test_fits);
}

Normalize measure(const Dataset& train, const OpenDatasetOptions& options) {
  PixelStatistics statistics;
  if (const auto* tensors = dynamic_cast<const TensorDataset*>(&train)) {
    statistics.add(tensors->images());
    return statistics.normalize();
  }
  const std::vector<std::int64_t> drawn = some_of(train.size(), kMeasuredImages);
  const auto own = own_numbers(options.group.get(), drawn);
  read_together(options.group.get(), [&] {
    for_each_chunk(train, own, [&](std::int64_t first, const Batch& some) {
      statistics.add(some.inputs);
      if (options.on_image) options.on_image(first + some.inputs.dim(0), std::ssize(own));
    });
  });
  PixelStatistics all;
  for (const std::string& sums : gather_texts(options.group.get(), statistics.text())) all.add(sums);
  return all.normalize();
}

std::string difference(const std::vector<std::string>& wanted, const std::vector<std::string>& found) {
  for (const std::string& name : wanted) {
    if (std::ranges::find(found, name) == found.end()) return formatted("no class {}", name);
  }
  for (const std::string& name : found) {
    if (std::ranges::find(wanted, name) == wanted.end()) return formatted("a class {}, which training has not", name);
  }
  return "";
}

/// Where the training images lie and those to be judged by; `test` is empty if these are a part of the training images.
struct Parts {
  fs::path train, test;
};

Parts find_parts(const fs::path& dir) {
  const std::vector<std::string> names = arrange_class_names(dir, list_folder(dir).subfolders);
  const auto named = [&](std::string_view wanted) {
    return std::ranges::find_if(names, [&](const std::string& name) { return lower_case(name) == wanted; });
  };
  const auto train = named("train");
  if (train == names.end()) return {dir, {}};
  auto test = names.end();
  for (const std::string_view name : kTestNames) {
    if (test == names.end()) test = named(name);
  }
  // Pictures of trains may be a class.
  if (test == names.end() && names.size() > 1 && list_folder(dir / *train).images > 0) return {dir, {}};
  for (const std::string& name : names) {
    const std::string lower = lower_case(name);
    if (lower == "train" || std::ranges::find(kTestNames, lower) != kTestNames.end() || !holds_images(dir / name)) continue;
    throw DataError((dir / name).string(), 0, formatted("no images beside train/ and {}/", joined(kTestNames, "/, ")), "some");
  }
  return {dir / *train, test == names.end() ? fs::path() : dir / *test};
}

/// Throws unless there are several classes, and where the classes seem to be parts of a set.
void check_classes(const fs::path& dir) {
  const FolderEntries entries = list_folder(dir);
  const std::vector<std::string>& names = entries.subfolders;
  if (names.size() == 1) {
    const FolderEntries inner = list_folder(dir / names[0]);
    const bool has_classes = inner.images == 0 && inner.subfolders.size() > 1;
    throw DataError(dir.string(), 0, "two classes or more, each a subfolder",
                    formatted("one, {}{}{}", list_names(names), entries.images > 0 ? ", beside images" : "",
                              has_classes ? "; if its subfolders are the classes, give it instead" : ""));
  }
  const auto is_part = [](const std::string& name) { return std::ranges::find(kPartWords, lower_case(name)) != kPartWords.end(); };
  if (std::ranges::none_of(names, is_part)) return;
  std::vector<std::string> shared;
  for (const std::string& name : names) {
    FolderEntries inner = list_folder(dir / name);
    for (std::string& subfolder : inner.subfolders) subfolder = lower_case(subfolder);
    std::ranges::sort(inner.subfolders);
    // Classes of one subfolder each are usual, such as `images`.
    if (inner.images > 0 || inner.subfolders.size() < 2 || (!shared.empty() && inner.subfolders != shared)) return;
    shared = std::move(inner.subfolders);
  }
  if (shared.empty()) return;
  throw DataError(dir.string(), 0, formatted("a folder for each class, or train/ and one of {}/", joined(kTestNames, "/, ")),
                  formatted("{}, which look like parts of a set: each has the subfolders {}, and no images of its own",
                            list_names(names), list_names(shared)));
}

/// The first numbers for training and the others to be judged by, of all images in a random order.
void divide(const std::shared_ptr<const ImageFolder>& folder, const fs::path& dir, std::int64_t max_count, Examples& train,
            Examples& test) {
  const std::int64_t size = folder->size();
  if (size < 2) throw DataError(dir.string(), 0, "two images or more, of which a tenth is to be judged by", formatted("{}", size));
  const std::int64_t judged = std::max<std::int64_t>(1, size / kTrainPerTest);
  const std::vector<Subset> parts = random_split(folder, {size - judged, judged});
  const auto first_of = [&](const Subset& part) {
    const auto numbers = part.indices().first(static_cast<std::size_t>(std::min(part.size(), max_count)));
    return Examples{folder, {numbers.begin(), numbers.end()}};
  };
  train = first_of(parts[0]);
  test = first_of(parts[1]);
}

}  // namespace

OpenedDataset open_image_folder(const fs::path& dir, const OpenDatasetOptions& options) {
  Parts parts;
  read_together(options.group.get(), [&] {
    parts = find_parts(dir);
    check_classes(parts.train);
  });
  const auto folder = std::make_shared<const ImageFolder>(parts.train, folder_options(options));
  OpenedDataset data{.name = "images", .class_names = folder->class_names()};
  data.damaged = folder->damaged();
  data.left_out = folder->left_out();
  Examples train, test;
  if (parts.test.empty()) {
    divide(folder, dir, options.limit.value_or(folder->size()), train, test);
  } else {
    const auto judged = std::make_shared<const ImageFolder>(parts.test, folder_options(options));
    if (const std::string differs = difference(data.class_names, judged->class_names()); !differs.empty()) {
      throw DataError(parts.test.string(), 0, "the classes of train/", differs);
    }
    if (judged->image_shape() != folder->image_shape()) {
      throw DataError(parts.test.string(), 0, formatted("images of {}, as in train/", folder->image_shape().string()),
                      judged->image_shape().string());
    }
    data.damaged.insert(data.damaged.end(), judged->damaged().begin(), judged->damaged().end());
    data.left_out += judged->left_out();
    train = {folder, some_of(folder->size(), options.limit.value_or(folder->size()))};
    test = {judged, some_of(judged->size(), options.limit.value_or(judged->size()))};
  }
  load(std::move(train), std::move(test), options, data);
  data.normalize = measure(*data.train, options);
  return data;
}

}  // namespace gpucnn
