#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <gpucnn/core/export.h>
#include <gpucnn/data/dataset_splits.h>

namespace gpucnn {

/// The two labels that every image of CIFAR-100 has: one of 100 classes, or one of 20 groups of five classes.
enum class Cifar100Labels { fine, coarse };

/// CIFAR-100 (Krizhevsky, 2009) from its published binary version: 50,000 training and 10,000 test images, u8 [N, 3, 32, 32], and
/// the names of its 100 classes (or 20 groups). `dir` holds train.bin and test.bin, of records as CIFAR-10's but with two label
/// bytes, the coarse one first, and fine_label_names.txt (or coarse_label_names.txt), a name on each line.
///
/// `limit` >= 1 loads the first `limit` training and at most `limit` test images. Throws as `load_cifar10` does.
GPUCNN_API DatasetSplits load_cifar100(const std::filesystem::path& dir, std::optional<std::int64_t> limit = {},
                                       Cifar100Labels labels = Cifar100Labels::fine);

}  // namespace gpucnn
