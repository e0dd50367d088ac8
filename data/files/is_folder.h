#pragma once

#include <filesystem>
#include <string>

namespace gpucnn {

/// Whether `path` is a folder, and not a file. Throws `DataError` that says what was `expected` if nothing is there, or if that
/// cannot be found out.
bool is_folder(const std::filesystem::path& path, const std::string& expected);

}  // namespace gpucnn
