#include <gpucnn/io/safetensors.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/atomic_file.h>
#include <gpucnn/io/safetensors/file.h>
#include <gpucnn/io/safetensors/header.h>
#include <gpucnn/io/safetensors/shards.h>
#include <gpucnn/io/safetensors/tensor_data.h>

namespace gpucnn {

void save_safetensors(const std::filesystem::path& path, const StateDict& state, const Metadata& metadata) {
  std::vector<const StateDict::Entry*> order;
  for (const StateDict::Entry& entry : state) {
    if (!entry.second.defined()) {
      throw std::invalid_argument(formatted("save_safetensors: tensor '{}' is undefined", printable(entry.first, kMaxNameBytes)));
    }
    order.push_back(&entry);
  }
  std::ranges::stable_sort(order, std::greater{}, [](const StateDict::Entry* entry) { return size_of(entry->second.dtype()); });

  safetensors::Header header{{}, metadata};
  std::uint64_t end = 0;
  for (const StateDict::Entry* entry : order) {
    const auto& [name, tensor] = *entry;
    const std::uint64_t begin = std::exchange(end, end + tensor.nbytes());
    header.entries.push_back({name, &safetensors::stored_type(tensor.dtype()), tensor.shape(), {}, begin, end});
  }
  const std::string text = format_header(header);

  AtomicFile file(path);
  file.write(std::as_bytes(std::span(text)));
  for (const StateDict::Entry* entry : order) safetensors::write_data(file, entry->second);
  file.commit();
}

std::pair<StateDict, Metadata> load_safetensors(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return safetensors::load_folder(path);
  return path.string().ends_with(safetensors::kIndexSuffix) ? safetensors::load_shards(path) : safetensors::load_file(path);
}

}  // namespace gpucnn
