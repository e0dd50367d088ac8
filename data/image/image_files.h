#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace gpucnn {

/// The images of a folder that has a subfolder for each class.
struct ImageFiles {
  std::vector<std::string> class_names;
  std::vector<std::filesystem::path> files;
  std::vector<std::int32_t> labels;  ///< of each file: the number of its class
};

/// As `ImageFolder` says, with all that it throws for folders and names.
ImageFiles find_image_files(const std::filesystem::path& dir);

/// The names of the classes among the subfolders of `dir`: sorted, without hidden ones. Throws `DataError` for a name that is no
/// UTF-8, and for two that differ in nothing but the case of ASCII letters.
std::vector<std::string> arrange_class_names(const std::filesystem::path& dir, std::vector<std::string> subfolders);

/// Whether a file of this name in `folder` is meant to be an image: not hidden, with one of torchvision's extensions in any case.
/// Throws `DataError` if so but the name is no UTF-8.
bool is_image_name(const std::filesystem::path& folder, const std::string& name);

}  // namespace gpucnn
