#pragma once

#include <dirent.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

/// The names in a folder, in any order; none if it cannot be read. A std::filesystem::directory_iterator ends the program where
/// there is no memory.
inline std::vector<std::string> folder_names(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> opened(opendir(folder.c_str()), closedir);
  if (!opened) return names;
  while (const dirent* entry = readdir(opened.get())) names.emplace_back(entry->d_name);
  return names;
}
