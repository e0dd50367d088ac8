#include <gpucnn/io/safetensors.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <gpucnn/core/host/input_file.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/atomic_file.h>
#include <gpucnn/io/safetensors_header.h>
#include <gpucnn/io/tensor_data.h>

namespace gpucnn {
namespace {

using safetensors::Entry;
using safetensors::Header;

/// The JSON of the header, whose length is held against the file first.
std::string read_header(const InputFile& file) {
  using namespace safetensors;
  if (file.size() < kLengthBytes) {
    file.fail(file.size(), "a safetensors file, which begins with 8 bytes of header length",
              file.size() == 0 ? "an empty file" : formatted("a file of {} bytes", file.size()));
  }
  std::uint64_t length = 0;
  file.read(0, std::as_writable_bytes(std::span(&length, 1)));
  const std::uint64_t longest = std::min(kMaxHeaderBytes, file.size() - kLengthBytes);
  if (length > longest) file.fail(0, formatted("a header of at most {} bytes", longest), formatted("one of {} bytes", length));
  std::string text(length, '\0');
  file.read(kLengthBytes, std::as_writable_bytes(std::span(text)));
  return text;
}

/// Reads the tensor of an entry, or says why it cannot be.
void add(StateDict& state, Entry&& entry, const InputFile& file, std::uint64_t data_start) {
  if (!entry.type) return state.leave_out(std::move(entry.name), std::move(entry.left_out));
  if (std::optional<Tensor> tensor = safetensors::read_data(file, data_start + entry.begin, entry)) {
    return state.add(std::move(entry.name), std::move(*tensor));
  }
  state.leave_out(std::move(entry.name),
                  formatted("the file holds it as {}, and a value does not fit {}", entry.type->name, name_of(entry.type->dtype)));
}

}  // namespace

void save_safetensors(const std::filesystem::path& path, const StateDict& state, const Metadata& metadata) {
  std::vector<const StateDict::Entry*> order;
  for (const StateDict::Entry& entry : state) {
    if (!entry.second.defined()) {
      throw std::invalid_argument(formatted("save_safetensors: tensor '{}' is undefined", printable(entry.first, kMaxNameBytes)));
    }
    order.push_back(&entry);
  }
  std::ranges::stable_sort(order, std::greater{}, [](const StateDict::Entry* entry) { return size_of(entry->second.dtype()); });

  Header header{{}, metadata};
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
  const InputFile file(path);
  std::string text = read_header(file);
  const std::uint64_t data_start = safetensors::kLengthBytes + text.size();
  Header header = safetensors::parse_header(file.name(), std::move(text), file.size() - data_start);
  StateDict state;
  for (Entry& entry : header.entries) add(state, std::move(entry), file, data_start);
  return {std::move(state), std::move(header.metadata)};
}

}  // namespace gpucnn
