#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <gpucnn/data/files/open_dataset.h>

namespace gpucnn {

/// Whether `dir` has a subfolder that is not hidden: then it may be a folder of images.
bool has_subfolder(const std::filesystem::path& dir);

/// `open_dataset` for a folder of images.
OpenedDataset open_image_folder(const std::filesystem::path& dir, const OpenDatasetOptions& options);

}  // namespace gpucnn
