#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <gpucnn/core/export.h>
#include <gpucnn/data/dataset_splits.h>

namespace gpucnn {

/// CIFAR-10 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009) from its published binary version: 50,000
/// training and 10,000 test images, u8 [N, 3, 32, 32], and ten class names. `dir` holds data_batch_1.bin to data_batch_5.bin and
/// test_batch.bin, each of 10,000 records (a label byte, then 1,024 bytes each of red, green and blue), and batches.meta.txt, a
/// class name on each line.
///
/// `limit` >= 1 loads the first `limit` training and at most `limit` test images. Throws `DataError` for whatever is missing,
/// unreadable, of a wrong size or no label; all sizes are checked first.
GPUCNN_API DatasetSplits load_cifar10(const std::filesystem::path& dir, std::optional<std::int64_t> limit = {});

}  // namespace gpucnn
