#pragma once

#include <filesystem>
#include <string_view>
#include <utility>

#include <gpucnn/io/safetensors.h>

namespace gpucnn::safetensors {

/// How the name of an index ends.
inline constexpr std::string_view kIndexSuffix = ".index.json";

/// `load_safetensors` of all files that an index names. Of a text about itself that several of them have the first counts.
std::pair<StateDict, Metadata> load_shards(const std::filesystem::path& index);

/// The same of a folder that holds model.safetensors.index.json.
std::pair<StateDict, Metadata> load_folder(const std::filesystem::path& folder);

}  // namespace gpucnn::safetensors
