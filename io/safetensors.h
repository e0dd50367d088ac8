#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>

#include <gpucnn/core/export.h>
#include <gpucnn/core/state_dict.h>

namespace gpucnn {

/// What a file says about itself: its `__metadata__`.
using Metadata = std::map<std::string, std::string>;

/// Writes tensors in the safetensors format, which PyTorch reads: every tensor in PyTorch's order of elements, whatever device it
/// is on. In the file wider types come first, so that every tensor is aligned to its type; within a type the order of `state`
/// is kept. The same input gives the same bytes.
///
/// The file appears whole or not at all: it is written beside `path` under another name, flushed to the disk and renamed. Throws
/// `OutputError` if that fails (no such folder, no permission, no space, `path` is something else than a file); an older
/// file is then untouched. Throws `std::invalid_argument` if a tensor is undefined, is named `__metadata__`, or a text is not
/// UTF-8.
GPUCNN_API void save_safetensors(const std::filesystem::path& path, const StateDict& state, const Metadata& metadata = {});

/// Reads a file in the safetensors format with tensors of F32, BF16, I32, I64 and U8 of rank 6 or less onto the CPU, in the order
/// in which they lie in the file. Throws `DataError` if the file is missing, is damaged in any way or holds another type; nothing
/// is allocated for a tensor before the whole header was held against the size of the file.
GPUCNN_API std::pair<StateDict, Metadata> load_safetensors(const std::filesystem::path& path);

}  // namespace gpucnn
