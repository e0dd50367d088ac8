#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/data/dataset.h>
#include <gpucnn/data/image/image_folder.h>
#include <gpucnn/data/normalize.h>

namespace gpucnn {

struct OpenDatasetOptions {
  std::optional<std::int64_t> limit = {};  ///< >= 1: the first `limit` training and at most `limit` test images
  std::optional<int> image_size = {};      ///< of a folder of images: their shorter side is brought to it, and their centre cut out
  bool skip_damaged = false;               ///< of a folder of images: see `ImageFolderOptions`
  std::uint64_t max_bytes = std::uint64_t{4} << 30;  ///< of a folder of images: what may lie in memory of both parts together
  /// Of a folder of images: see `ImageFolderOptions`. Each part is counted by itself.
  OnImage on_image = {};
  /// Of a folder of images: the processes that open it together, each of which decodes its part: see `ImageFolderOptions`. What is
  /// thrown on one of them is thrown on all.
  std::shared_ptr<const ReaderGroup> group = {};
};

/// A classification task as a folder holds it.
struct OpenedDataset {
  std::string name;                            ///< "CIFAR-10", "CIFAR-100", "MNIST", "Fashion-MNIST", "images"
  std::shared_ptr<const Dataset> train, test;  ///< images of one shape
  std::vector<std::string> class_names;
  Normalize normalize;                ///< what a DataLoader of both should do
  std::vector<DamagedImage> damaged;  ///< left out of a folder of images
  std::int64_t left_out = 0;          ///< files of a folder of images that were not looked at: see `ImageFolder::left_out`
};

/// Opens whatever `dir` is, which its files' names tell:
///
///   data_batch_1.bin to data_batch_5.bin, test_batch.bin       CIFAR-10, by `load_cifar10`
///   train.bin, test.bin                                        CIFAR-100 with its fine labels, by `load_cifar100`
///   train-images-idx3-ubyte and three more, or these with .gz  MNIST or Fashion-MNIST, by `load_mnist`
///   subfolders train and test, val, valid or validation        images, by `ImageFolder`; the first of these names is taken, and
///                                                              has the classes of train/
///   other subfolders, or train alone                           images, of which a tenth, at least one, is judged by: the second
///                                                              part of `random_split` with the seed 0
///
/// Names of such parts are compared without case. Beside train/ no other folder may hold images; a folder train/ with images of its
/// own is a class if there is no part to judge by.
///
/// Training images whose pixels have at most `max_bytes` are decoded into a TensorDataset, and those to be judged by if they have
/// at most what is left. Others come as a dataset that reads its files in every epoch, which needs `image_size`. Files are sorted
/// by class, so `limit` draws images at random, always the same.
///
/// `normalize` is what is published of the CIFAR sets. Of others it is the mean and the standard deviation of each channel over all
/// pixels of the training images that are loaded; a channel of one value gets the deviation 1. Of images that do not lie in memory
/// 10,000 are drawn for it.
///
/// Throws `DataError` where `dir` is none of these or cannot be read, and what the set's own function throws. So it does for images
/// of one class alone, and for folders that look like parts of a set: they have no images of their own, and the same subfolders.
/// Throws `std::invalid_argument` for a wrong option, and for one of a folder of images where `dir` is something else. Without
/// `image_size` it does so for images of several sizes, and for more than `max_bytes`.
GPUCNN_API OpenedDataset open_dataset(const std::filesystem::path& dir, const OpenDatasetOptions& options = {});

}  // namespace gpucnn
