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

/// Reads a file in the safetensors format onto the CPU, its tensors in the order in which they lie in the file. F32, BF16, I32, I64
/// and U8 stay as they are. Others become the dtype that holds their values:
///
///   F16             -> f32, exactly
///   F64             -> f32, rounded to the nearest, ties to even
///   BOOL            -> u8, 0 or 1
///   I8, I16, U16    -> i32
///   U32, U64        -> i64
///
/// A tensor that cannot be held is left out (`StateDict::left_out`), and only who asks for its name fails: one of another type,
/// such as F8_E4M3, of more than 6 dimensions, or of U64 with a value of 2^63 or more.
///
/// A path that ends in .index.json, or a folder with model.safetensors.index.json, reads all files that the index's `weight_map`
/// names. They lie beside it and hold the tensors that it says, each in its file, and no others.
///
/// Throws `DataError` if a file is missing or damaged in any way. Of a file in another format it says what that is, such as a
/// checkpoint of PyTorch, and how to convert it. Nothing is allocated for a tensor before the whole header was held against the
/// size of the file.
GPUCNN_API std::pair<StateDict, Metadata> load_safetensors(const std::filesystem::path& path);

}  // namespace gpucnn
