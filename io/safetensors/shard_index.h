#pragma once

#include <functional>
#include <map>
#include <string>

namespace gpucnn::safetensors {

/// The file of each tensor: the `weight_map` of an index, a text in JSON. Names from files are kept in order; see StateDict.
/// https://huggingface.co/docs/transformers/big_models#sharded-checkpoints
using ShardIndex = std::map<std::string, std::string, std::less<>>;

/// Reads the text of an index. Throws `DataError`, with `file` and the offset in it, unless it has one `weight_map` that names each
/// tensor once, and a file beside the index for each: a name without a folder. What else it says does not count.
ShardIndex parse_shard_index(const std::string& file, std::string text);

}  // namespace gpucnn::safetensors
