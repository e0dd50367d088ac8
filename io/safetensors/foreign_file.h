#pragma once

#include <string>
#include <string_view>

namespace gpucnn {

/// The bytes at the beginning of a file that `foreign_file` wants, if there are so many.
inline constexpr std::size_t kForeignBytes = 512;

/// What a file is that is no safetensors file, and how its weights get into one, as the end of a sentence: a checkpoint of PyTorch,
/// a web page, a pointer of Git LFS and the like. Empty if its beginning does not show it.
std::string foreign_file(std::string_view beginning);

}  // namespace gpucnn
