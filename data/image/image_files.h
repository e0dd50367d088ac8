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
  std::int64_t left_out = 0;         ///< as `ImageFolder::left_out`
};

/// What stands in one folder, but for what is hidden.
struct FolderEntries {
  std::vector<std::string> subfolders;  ///< sorted
  std::int64_t images = 0;              ///< files meant to be images, which lie in it directly
};

/// Links are followed. Throws `DataError` for a folder that cannot be read.
FolderEntries list_folder(const std::filesystem::path& dir);

/// Whether an image lies in `dir` or anywhere below, but for hidden ones. Throws as `ImageFolder` for what it meets.
bool holds_images(const std::filesystem::path& dir);

/// As `ImageFolder` says, with all that it throws for folders and names.
ImageFiles find_image_files(const std::filesystem::path& dir);

/// The text with small ASCII letters.
std::string lower_case(std::string text);

/// The names of the classes among the subfolders of `dir`: sorted, without hidden ones. Throws `DataError` for a name that is no
/// UTF-8, and for two that differ in nothing but the case of ASCII letters.
std::vector<std::string> arrange_class_names(const std::filesystem::path& dir, std::vector<std::string> subfolders);

/// Whether a file of this name in `folder` is meant to be an image: not hidden, with one of torchvision's extensions in any case.
/// Throws `DataError` if so but the name is no UTF-8.
bool is_image_name(const std::filesystem::path& folder, const std::string& name);

}  // namespace gpucnn
