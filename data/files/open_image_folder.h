#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include <gpucnn/data/files/open_dataset.h>

namespace gpucnn {

/// `open_dataset` for a folder of images, with a subfolder that is not hidden.
OpenedDataset open_image_folder(const std::filesystem::path& dir, const OpenDatasetOptions& options);

}  // namespace gpucnn
