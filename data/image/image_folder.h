#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/data/dataset.h>
#include <gpucnn/data/image/reader_group.h>
#include <gpucnn/data/image/resize_image.h>
#include <gpucnn/data/tensor_dataset.h>

namespace gpucnn {

/// Told how many images of how many have been read.
using OnImage = std::function<void(std::int64_t done, std::int64_t all)>;

/// How the images of a folder are delivered.
struct ImageFolderOptions {
  /// The size that all images are brought to. Empty: they are all as large as the first; another size is refused when it is met.
  std::optional<ResizeOptions> resize = {};
  int channels = 3;  ///< 3: red, green and blue; 1: grey
  /// Leave damaged images out. When the folder is opened, each file is then read and decoded once.
  bool skip_damaged = false;
  /// Called for each file that is read where the folder is opened to skip damaged ones, and by `in_memory`. Threads call it,
  /// several at once. What it throws ends the reading, and is passed on.
  OnImage on_image = {};
  /// The processes that open this folder together, and call `in_memory` together. Each decodes its part of the images, and counts
  /// that alone for `on_image`. Empty: this process decodes all.
  std::shared_ptr<const ReaderGroup> group = {};
};

/// A file that is no whole image, and the sentence that says why.
struct DamagedImage {
  std::filesystem::path file;
  std::string reason;
};

/// A folder with a subfolder for each class, as torchvision's ImageFolder: classes are sorted by name, the files of a class by
/// their folder and then by name, all bytewise; subfolders of a class count. Links are followed. Images are files with an extension
/// of torchvision's list (jpg, jpeg, png, ppm, bmp, pgm, tif, tiff, webp, in any case); PNG and JPEG are decoded, by content.
///
/// Unlike torchvision's it leaves out hidden files and folders, whose names begin with a dot. Images are upright by their Exif
/// orientation, and a JPEG with many more pixels than wanted is divided while it is decoded (by 2, 4 or 8, while twice the wanted
/// size is left). That made 1 level of difference on average in pictures with noise, and 4 at most.
///
/// Files are read when they are asked for. Any number of threads may call `get` at once. A batch's images are decoded on the
/// library's threads. Of several damaged images the first of the batch is thrown.
class GPUCNN_API ImageFolder : public Dataset {
 public:
  /// Throws `DataError` that names the path: for a folder that is missing or cannot be read, no class, a class without images, two
  /// class names that differ in case only, a name that is no UTF-8, a link to a folder around it, more than 64 folders within each
  /// other or 1,000,000 in all. So it does for a damaged first image where `resize` is empty, and for a class of nothing but
  /// damaged images where these are skipped. Throws `std::invalid_argument` for a wrong option, and where the processes of a group
  /// have other files. What is thrown on one process of a group is thrown on all.
  explicit ImageFolder(const std::filesystem::path& dir, const ImageFolderOptions& options = {});

  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  Shape image_shape() const override { return shape_; }

  /// Reads and decodes these files: images u8, labels i32, the numbers of their classes. Throws `DataError` for a damaged image or
  /// a file that is gone, also where damaged images were skipped when the folder was opened. Throws `std::invalid_argument` for a
  /// number outside, and for an image of another size than the first where `resize` is empty.
  Batch get(std::span<const std::int64_t> indices) const override;

  /// All images in memory, of which the captured step of a GPU takes its batches: decoded on the library's threads. Throws
  /// `DataError` if they have more than `max_bytes` bytes, and for damaged images, of which it names the first and counts all.
  TensorDataset in_memory(std::uint64_t max_bytes = std::uint64_t{8} << 30) const;

  /// These images alone, in this order; `max_bytes` is for them. Throws `std::invalid_argument` for a number outside, too.
  TensorDataset in_memory(std::span<const std::int64_t> indices, std::uint64_t max_bytes) const;

  const std::vector<std::string>& class_names() const noexcept { return class_names_; }

  /// The file of an example. Throws `std::invalid_argument` for a number outside [0, size()).
  const std::filesystem::path& file(std::int64_t index) const;

  /// The images that were left out, in order; empty unless `skip_damaged`.
  const std::vector<DamagedImage>& damaged() const noexcept { return damaged_; }

  /// How many files were left out without a look: those of classes that have none of the extensions (such as .heic and .gif), and
  /// images beside the folders of the classes. Hidden files do not count.
  std::int64_t left_out() const noexcept { return left_out_; }

 private:
  void set_shape();
  void require_same_files(const ReaderGroup& group) const;
  std::string find_damaged() const;
  void drop_damaged();
  void decode(std::size_t file, std::uint8_t* to) const;
  Batch allocate(std::span<const std::int64_t> indices) const;
  /// What was thrown for each of these images; null where nothing was.
  std::vector<std::exception_ptr> decode_to(std::span<const std::int64_t> indices, const OnImage& on_image,
                                            std::uint8_t* images) const;

  std::filesystem::path dir_;
  ImageFolderOptions options_;
  std::vector<std::string> class_names_;
  std::vector<std::filesystem::path> files_;
  std::vector<std::int32_t> labels_;
  std::vector<DamagedImage> damaged_;
  std::int64_t left_out_ = 0;
  Shape shape_;
};

}  // namespace gpucnn
