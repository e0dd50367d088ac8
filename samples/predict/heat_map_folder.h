#pragma once

#include <filesystem>
#include <set>
#include <string>

/// The folder that heat maps are written to: each has the name of its image with .png, and a number where that is taken.
class HeatMapFolder {
 public:
  /// Makes the folder if it is not there. Throws `gpucnn::OutputError` where that cannot be.
  explicit HeatMapFolder(const std::filesystem::path& folder);

  /// Writes the map of this image, whole or not at all. Throws `gpucnn::OutputError`.
  void add(const std::filesystem::path& image, const std::string& png);

 private:
  std::filesystem::path folder_;
  std::set<std::string> taken_;
};
