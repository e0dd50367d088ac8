#include <gpucnn/data/files/open_dataset.h>

#include <array>
#include <span>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/data/files/cifar10.h>
#include <gpucnn/data/files/cifar100.h>
#include <gpucnn/data/files/is_folder.h>
#include <gpucnn/data/files/mnist.h>
#include <gpucnn/data/files/open_image_folder.h>
#include <gpucnn/data/files/pixel_statistics.h>
#include <gpucnn/data/image/image_files.h>

namespace gpucnn {
namespace {

namespace fs = std::filesystem;

constexpr const char* kExpected =
    "CIFAR-10 (data_batch_1.bin), CIFAR-100 (train.bin), MNIST (train-images-idx3-ubyte, with or without .gz) or images "
    "(a folder for each class, or train/ and test/ or val/)";

bool is_there(const fs::path& path) {
  std::error_code failure;
  const fs::file_status status = fs::symlink_status(path, failure);
  if (status.type() == fs::file_type::none) {
    throw DataError(path.parent_path().string(), 0, "a folder that can be read", failure.message());
  }
  return fs::exists(status);
}

bool is_file(const fs::path& path) {
  std::error_code ignored;  // a link to nothing is none
  return is_there(path) && fs::is_regular_file(path, ignored);
}

bool has_any(const fs::path& dir, std::span<const char* const> names, std::span<const char* const> suffixes) {
  for (const char* name : names) {
    for (const char* suffix : suffixes) {
      if (is_there(dir / formatted("{}{}", name, suffix))) return true;
    }
  }
  return false;
}

// Each of a set's files tells the set, so that one that lacks another is told so, and not that it is no set.

bool is_cifar10(const fs::path& dir) {
  constexpr std::array kNames{"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"};
  return has_any(dir, kNames, std::array{".bin"});
}

bool is_cifar100(const fs::path& dir) { return has_any(dir, std::array{"train", "test"}, std::array{".bin"}); }

bool is_mnist(const fs::path& dir) {
  constexpr std::array kNames{"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                              "t10k-labels-idx1-ubyte"};
  return has_any(dir, kNames, std::array{"", ".gz"});
}

/// In words, where a set is instead, if `dir` holds one as it is published or as another program unpacks it.
std::string hint_of(const fs::path& dir) {
  for (const char* inner : {"cifar-10-batches-bin", "cifar-100-binary", "MNIST/raw", "FashionMNIST/raw", "raw"}) {
    const fs::path there = dir / inner;
    if (is_cifar10(there) || is_cifar100(there) || is_mnist(there)) return formatted("; give {}, which holds one", there.string());
  }
  if (is_there(dir / "cifar-10-batches-py") || is_there(dir / "cifar-100-python") || is_file(dir / "data_batch_1") ||
      (is_file(dir / "train") && is_file(dir / "test") && is_file(dir / "meta"))) {
    return "; this is the version for Python of a CIFAR set, and the binary version is wanted";
  }
  for (const char* archive : {"cifar-10-binary.tar.gz", "cifar-100-binary.tar.gz"}) {
    if (is_there(dir / archive)) return formatted("; {} there is not unpacked yet", archive);
  }
  return "";
}

/// That `dir` is a folder.
void check_directory(const fs::path& dir) {
  if (is_folder(dir, "a folder with CIFAR-10, MNIST or images")) return;
  const std::string expected = formatted("a folder with {}", kExpected);
  if (dir.extension() == ".gz" || dir.extension() == ".tar" || dir.extension() == ".zip") {
    const bool is_idx = is_mnist(dir.parent_path());
    throw DataError(dir.string(), 0, expected, is_idx ? "a file; give its folder" : "an archive; unpack it first");
  }
  const fs::path parent = dir.has_parent_path() ? dir.parent_path() : ".";
  const bool has_set = is_cifar10(parent) || is_cifar100(parent) || is_mnist(parent);
  throw DataError(dir.string(), 0, expected, has_set ? "a file; give its folder" : "a file");
}

Normalize measure(const Tensor& images) {
  PixelStatistics statistics;
  statistics.add(images);
  return statistics.normalize();
}

void refuse_image_options(const OpenDatasetOptions& options, const char* set) {
  if (!options.image_size && !options.skip_damaged) return;
  throw std::invalid_argument(formatted("open_dataset: {} is for a folder of images, and this is {}",
                                        options.image_size ? "image_size" : "skip_damaged", set));
}

OpenedDataset opened(std::string name, DatasetSplits splits, Normalize normalize) {
  return {.name = std::move(name),
          .train = std::make_shared<const TensorDataset>(std::move(splits.train)),
          .test = std::make_shared<const TensorDataset>(std::move(splits.test)),
          .class_names = std::move(splits.class_names),
          .normalize = std::move(normalize)};
}

}  // namespace

OpenedDataset open_dataset(const fs::path& dir, const OpenDatasetOptions& options) {
  if (options.limit && *options.limit < 1) {
    throw std::invalid_argument(formatted("open_dataset: limit must be >= 1, got {}", *options.limit));
  }
  check_directory(dir);
  if (is_cifar10(dir)) {
    refuse_image_options(options, "CIFAR-10");
    return opened("CIFAR-10", load_cifar10(dir, options.limit), {{0.4914, 0.4822, 0.4465}, {0.2470, 0.2435, 0.2616}});
  }
  if (is_cifar100(dir)) {
    refuse_image_options(options, "CIFAR-100");
    return opened("CIFAR-100", load_cifar100(dir, options.limit), {{0.5071, 0.4865, 0.4409}, {0.2673, 0.2564, 0.2762}});
  }
  if (is_mnist(dir)) {
    refuse_image_options(options, "MNIST");
    DatasetSplits splits = load_mnist(dir, options.limit);
    Normalize normalize = measure(splits.train.images());
    const bool digits = splits.class_names.front() == "0";
    return opened(digits ? "MNIST" : "Fashion-MNIST", std::move(splits), std::move(normalize));
  }
  const std::string hint = hint_of(dir);
  if (hint.empty()) {
    const FolderEntries entries = list_folder(dir);
    if (!entries.subfolders.empty()) return open_image_folder(dir, options);
    if (entries.images > 0) {
      throw DataError(dir.string(), 0, formatted("a folder with {}", kExpected),
                      "images that lie directly in it, and no subfolder for each class");
    }
  }
  throw DataError(dir.string(), 0, formatted("a folder with {}", kExpected), formatted("none of them{}", hint));
}

}  // namespace gpucnn
