#include <gpucnn/io/safetensors.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <vector>

#include <gpucnn/core/host/input_file.h>
#include <gpucnn/core/memory/layout.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/io/atomic_file.h>
#include <gpucnn/io/safetensors_header.h>

namespace gpucnn {
namespace {

using safetensors::Entry;
using safetensors::Header;

/// Calls `use(part, bytes)` for pieces of a tensor of rank 4, images first to last, where `bytes` is room for a piece in PyTorch's
/// order. Pieces keep the memory that changing the order takes small beside the tensor.
template <class Use>
void for_each_piece(const Tensor& tensor, Use&& use) {
  constexpr std::size_t kPieceBytes = std::size_t{4} << 20;
  const std::size_t image_bytes = tensor.nbytes() / static_cast<std::size_t>(tensor.dim(0));
  const auto step = static_cast<std::int64_t>(std::max<std::size_t>(1, kPieceBytes / image_bytes));
  std::vector<std::byte> bytes(image_bytes * static_cast<std::size_t>(std::min(step, tensor.dim(0))));
  for (std::int64_t first = 0; first < tensor.dim(0); first += step) {
    Tensor part = tensor.narrow(first, std::min(step, tensor.dim(0) - first));
    use(part, std::span(bytes).first(part.nbytes()));
  }
}

void write(AtomicFile& file, const Tensor& tensor) {
  if (layout::is_same(tensor.shape())) {
    const Tensor host = tensor.to(Device::cpu());
    return file.write({host.bytes(), host.nbytes()});
  }
  for_each_piece(tensor, [&](const Tensor& part, std::span<std::byte> bytes) {
    layout::to_logical(part.to(Device::cpu()).bytes(), bytes.data(), part.shape(), size_of(part.dtype()));
    file.write(bytes);
  });
}

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

Tensor read(const InputFile& file, std::uint64_t offset, const Entry& entry) {
  Tensor tensor = Tensor::empty(entry.shape, entry.dtype);
  if (layout::is_same(tensor.shape())) {
    file.read(offset, {tensor.bytes(), tensor.nbytes()});
    return tensor;
  }
  for_each_piece(tensor, [&](Tensor& part, std::span<std::byte> bytes) {
    file.read(offset, bytes);
    offset += bytes.size();
    layout::to_memory(bytes.data(), part.bytes(), part.shape(), size_of(part.dtype()));
  });
  return tensor;
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
    header.entries.push_back({name, tensor.dtype(), tensor.shape(), begin, end});
  }
  const std::string text = format_header(header);

  AtomicFile file(path);
  file.write(std::as_bytes(std::span(text)));
  for (const StateDict::Entry* entry : order) write(file, entry->second);
  file.commit();
}

std::pair<StateDict, Metadata> load_safetensors(const std::filesystem::path& path) {
  const InputFile file(path);
  std::string text = read_header(file);
  const std::uint64_t data_start = safetensors::kLengthBytes + text.size();
  Header header = safetensors::parse_header(file.name(), std::move(text), file.size() - data_start);
  StateDict state;
  for (Entry& entry : header.entries) state.add(std::move(entry.name), read(file, data_start + entry.begin, entry));
  return {std::move(state), std::move(header.metadata)};
}

}  // namespace gpucnn
