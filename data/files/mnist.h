#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <gpucnn/core/export.h>
#include <gpucnn/data/dataset_splits.h>

namespace gpucnn {

/// MNIST (LeCun, Cortes and Burges, 1998), Fashion-MNIST (Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for
/// benchmarking machine learning algorithms", 2017), or other images of ten classes in their form: u8 [N, 1, H, W], published with
/// 60,000 training and 10,000 test images of 28 x 28. `dir` holds train-images-idx3-ubyte, train-labels-idx1-ubyte and the same of
/// t10k, each with or without .gz behind its name; whether a file is packed, its content tells.
///
/// The class names are the digits 0 to 9. They are Fashion-MNIST's if the first ten training labels are those of Fashion-MNIST.
///
/// `limit` >= 1 loads the first `limit` training and at most `limit` test images. Throws `DataError` for whatever is missing,
/// unreadable or damaged, for images and labels that are not equally many, images of two sizes, a set without images, and a label
/// above 9.
GPUCNN_API DatasetSplits load_mnist(const std::filesystem::path& dir, std::optional<std::int64_t> limit = {});

}  // namespace gpucnn
