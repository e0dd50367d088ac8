#pragma once

#include <filesystem>
#include <set>
#include <span>
#include <string>

#include "inputs.h"

/// The folder that heat maps are written to: each has the name of its image with .png, and a number where that is taken.
class HeatMapFolder {
 public:
  /// Makes the folder if it is not there. Throws `gpucnn::OutputError` where that cannot be, and for a folder with one of the
  /// images in it, which a map might replace.
  HeatMapFolder(const std::filesystem::path& folder, std::span<const Input> images);

  /// Writes the map of this image, whole or not at all. Throws `gpucnn::OutputError`.
  void add(const std::filesystem::path& image, const std::string& png);

 private:
  std::filesystem::path folder_;
  std::set<std::string> taken_;
};
