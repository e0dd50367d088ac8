#pragma once

#include <filesystem>
#include <utility>

#include <gpucnn/io/safetensors.h>

namespace gpucnn::safetensors {

/// `load_safetensors` of one file.
std::pair<StateDict, Metadata> load_file(const std::filesystem::path& path);

}  // namespace gpucnn::safetensors
