#include <gpucnn/data/files/mnist.h>

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/core/error.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/data/files/idx_file.h>
#include <gpucnn/data/files/is_folder.h>

namespace gpucnn {
namespace {

namespace fs = std::filesystem;

constexpr int kClasses = 10;
constexpr std::array<const char*, kClasses> kFashion{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                                     "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
/// The first training labels, by which a folder of Fashion-MNIST is known.
constexpr std::array<std::uint8_t, 10> kFashionLabels{9, 0, 0, 3, 0, 2, 7, 2, 5, 5};

/// The file of this name, with or without .gz. Throws `DataError` for none.
fs::path find_file(const fs::path& dir, const std::string& name) {
  std::error_code ignored;
  for (const char* suffix : {"", ".gz"}) {
    if (fs::exists(dir / (name + suffix), ignored)) return dir / (name + suffix);
  }
  throw DataError((dir / name).string(), 0, formatted("a file of this name, or {}.gz", name), "no such file");
}

/// Where the set is instead, if `dir` is what torchvision unpacked it into.
std::string hint_of(const fs::path& dir) {
  std::error_code ignored;
  for (const char* inner : {"raw", "MNIST/raw", "FashionMNIST/raw"}) {
    if (fs::is_directory(dir / inner, ignored)) return formatted("; give {}", (dir / inner).string());
  }
  return "";
}

void check_directory(const fs::path& dir) {
  const char* expected = "a directory with MNIST's four files";
  if (!is_folder(dir, expected)) throw DataError(dir.string(), 0, expected, "a file; give its folder");
  std::error_code ignored;
  const fs::path images = dir / "train-images-idx3-ubyte";
  if (fs::exists(images, ignored) || fs::exists(images.string() + ".gz", ignored)) return;
  if (const std::string hint = hint_of(dir); !hint.empty()) throw DataError(dir.string(), 0, expected, "none of them" + hint);
}

/// One half of the set.
class Half {
 public:
  /// Reads the heads of both files, and sees that they fit together.
  Half(const fs::path& dir, const std::string& name)
      : pixels_(find_file(dir, name + "-images-idx3-ubyte")), labels_(find_file(dir, name + "-labels-idx1-ubyte")) {
    const Shape &pixels = pixels_.shape(), &labels = labels_.shape();
    pixels_.require_rank(3, "images, rows, columns");
    labels_.require_rank(1, "labels");
    if (pixels.numel() == 0) pixels_.fail_extent(0, "an image or more, of a pixel or more", pixels.string());
    if (labels[0] != pixels[0]) {
      labels_.fail_extent(0, formatted("{} labels, one for each image", pixels[0]), formatted("{}", labels[0]));
    }
  }

  void require_size_of(const Half& other) const {
    const Shape &mine = pixels_.shape(), &others = other.pixels_.shape();
    if (mine.with(0, 1) == others.with(0, 1)) return;
    pixels_.fail_extent(1, formatted("images of {} x {}, as in training", others[1], others[2]),
                        formatted("{} x {}", mine[1], mine[2]));
  }

  std::int64_t size() const { return pixels_.shape()[0]; }

  Tensor read_labels() {
    Tensor labels = labels_.read(size());
    const auto* label = std::as_const(labels).data<std::uint8_t>();
    for (std::int64_t i = 0; i < size(); ++i) {
      if (label[i] >= kClasses) labels_.fail_element(i, formatted("a label from 0 to {}", kClasses - 1), formatted("{}", label[i]));
    }
    return labels;
  }

  Tensor read_images(std::int64_t count) {
    const Tensor pixels = pixels_.read(count);
    // With one channel the memory of [N, H, W] is that of [N, 1, H, W].
    return pixels.view(0, {count, 1, pixels.dim(1), pixels.dim(2)});
  }

 private:
  IdxFile pixels_, labels_;
};

std::vector<std::string> class_names(const Tensor& train_labels) {
  const auto* label = train_labels.data<std::uint8_t>();
  const bool is_fashion = train_labels.numel() >= std::ssize(kFashionLabels) &&
                          std::ranges::equal(kFashionLabels, std::span(label, kFashionLabels.size()));
  if (is_fashion) return {kFashion.begin(), kFashion.end()};
  std::vector<std::string> digits;
  digits.reserve(kClasses);
  for (int i = 0; i < kClasses; ++i) digits.push_back(std::to_string(i));
  return digits;
}

}  // namespace

DatasetSplits load_mnist(const fs::path& dir, std::optional<std::int64_t> limit) {
  if (limit && *limit < 1) throw std::invalid_argument(formatted("load_mnist: limit must be >= 1, got {}", *limit));
  check_directory(dir);
  Half train(dir, "train"), test(dir, "t10k");
  test.require_size_of(train);
  const Tensor train_labels = train.read_labels(), test_labels = test.read_labels();
  const std::int64_t learned = std::min(train.size(), limit.value_or(train.size()));
  const std::int64_t judged = std::min(test.size(), limit.value_or(test.size()));
  return {{train.read_images(learned), train_labels.narrow(0, learned)},
          {test.read_images(judged), test_labels.narrow(0, judged)},
          class_names(train_labels)};
}

}  // namespace gpucnn
