#include <gpucnn/io/safetensors/shards.h>

#include <cstddef>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include <gpucnn/core/error.h>
#include <gpucnn/core/host/input_file.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/in_quotes.h>
#include <gpucnn/io/safetensors/file.h>
#include <gpucnn/io/safetensors/header.h>
#include <gpucnn/io/safetensors/shard_index.h>

namespace gpucnn::safetensors {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";

ShardIndex read_index(const fs::path& path) {
  const InputFile file(path);
  if (file.size() > kMaxHeaderBytes) {
    file.fail(0, formatted("an index of at most {} bytes", kMaxHeaderBytes), formatted("one of {} bytes", file.size()));
  }
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read(0, std::as_writable_bytes(std::span(text)));
  return parse_shard_index(file.name(), std::move(text));
}

/// Reads one shard into `state`. Throws unless it holds the tensors of `names`, and no others.
void add_shard(const std::string& index, const fs::path& file, const ShardIndex& shard_of, const std::vector<std::string>& names,
               StateDict& state, Metadata& metadata) {
  const std::string shard = file.filename().string();
  std::error_code ignored;
  if (fs::status(file, ignored).type() == fs::file_type::not_found) {
    throw DataError(index, 0, formatted("the file {} beside the index", in_quotes(shard)), "no such file");
  }
  auto [part, about] = load_file(file);
  metadata.merge(about);
  const auto check = [&](const std::string& name) {
    const auto place = shard_of.find(name);
    if (place != shard_of.end() && place->second == shard) return;
    throw DataError(file.string(), 0,
                    place == shard_of.end()
                        ? formatted("tensors that the index {} names", index)
                        : formatted("tensor {} in {}, as the index says", in_quotes(name), in_quotes(place->second)),
                    formatted("tensor {} here", in_quotes(name)));
  };
  for (const auto& [name, tensor] : part) {
    check(name);
    state.add(name, tensor);
  }
  for (const auto& [name, why] : part.left_out()) {
    check(name);
    state.leave_out(name, why);
  }
  for (const std::string& name : names) {
    if (part.contains(name) || part.left_out().contains(name)) continue;
    throw DataError(file.string(), 0, formatted("tensor {}, as the index {} says", in_quotes(name), index),
                    "no tensor of that name");
  }
}

}  // namespace

std::pair<StateDict, Metadata> load_shards(const fs::path& index) {
  const ShardIndex shard_of = read_index(index);
  std::map<std::string, std::vector<std::string>> names_of;
  for (const auto& [name, shard] : shard_of) names_of[shard].push_back(name);
  StateDict state;
  Metadata metadata;
  for (const auto& [shard, names] : names_of) {
    add_shard(index.string(), index.parent_path() / shard, shard_of, names, state, metadata);
  }
  return {std::move(state), std::move(metadata)};
}

std::pair<StateDict, Metadata> load_folder(const fs::path& folder) {
  std::error_code ignored;
  if (fs::status(folder / kIndexName, ignored).type() == fs::file_type::not_found) {
    throw DataError(folder.string(), 0, formatted("a file, or a folder with {}", kIndexName), "a directory without it");
  }
  return load_shards(folder / kIndexName);
}

}  // namespace gpucnn::safetensors
