#include <gpucnn/io/safetensors/file.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include <gpucnn/core/host/input_file.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/io/safetensors/foreign_file.h>
#include <gpucnn/io/safetensors/header.h>
#include <gpucnn/io/safetensors/tensor_data.h>

namespace gpucnn::safetensors {
namespace {

/// Throws what the file is, if its beginning shows that. The beginning of a safetensors file that was cut short shows nothing else.
void refuse_foreign(const InputFile& file) {
  std::string beginning(static_cast<std::size_t>(std::min<std::uint64_t>(file.size(), kForeignBytes)), '\0');
  file.read(0, std::as_writable_bytes(std::span(beginning)));
  if (beginning.size() > kLengthBytes && beginning[kLengthBytes] == '{') {
    std::uint64_t length = 0;
    std::memcpy(&length, beginning.data(), sizeof length);
    if (length <= kMaxHeaderBytes) return;
  }
  if (const std::string kind = foreign_file(beginning); !kind.empty()) file.fail(0, "a safetensors file", kind);
}

/// The JSON of the header, whose length is held against the file first.
std::string read_header(const InputFile& file) {
  if (file.size() < kLengthBytes) {
    refuse_foreign(file);
    file.fail(file.size(), "a safetensors file, which begins with 8 bytes of header length",
              file.size() == 0 ? "an empty file" : formatted("a file of {} bytes", file.size()));
  }
  std::uint64_t length = 0;
  file.read(0, std::as_writable_bytes(std::span(&length, 1)));
  const std::uint64_t longest = std::min(kMaxHeaderBytes, file.size() - kLengthBytes);
  if (length > longest) {
    refuse_foreign(file);
    std::byte first{};
    if (longest > 0) file.read(kLengthBytes, std::span(&first, 1));
    if (first != std::byte{'{'}) file.fail(0, "a safetensors file", "data of another format");
    if (length > kMaxHeaderBytes)
      file.fail(0, formatted("a header of at most {} bytes", kMaxHeaderBytes), formatted("one of {} bytes", length));
    file.fail(file.size(), formatted("a header of {} bytes", length),
              formatted("the end of the file after {}: it was cut short", longest));
  }
  std::string text(length, '\0');
  file.read(kLengthBytes, std::as_writable_bytes(std::span(text)));
  if (!text.starts_with('{')) refuse_foreign(file);
  return text;
}

/// Reads the tensor of an entry, or says why it cannot be.
void add(StateDict& state, Entry&& entry, const InputFile& file, std::uint64_t data_start) {
  if (!entry.type) return state.leave_out(std::move(entry.name), std::move(entry.left_out));
  if (std::optional<Tensor> tensor = read_data(file, data_start + entry.begin, entry)) {
    return state.add(std::move(entry.name), std::move(*tensor));
  }
  state.leave_out(std::move(entry.name),
                  formatted("the file holds it as {}, and a value does not fit {}", entry.type->name, name_of(entry.type->dtype)));
}

}  // namespace

std::pair<StateDict, Metadata> load_file(const std::filesystem::path& path) {
  const InputFile file(path);
  std::string text = read_header(file);
  const std::uint64_t data_start = kLengthBytes + text.size();
  Header header = parse_header(file.name(), std::move(text), file.size() - data_start);
  StateDict state;
  for (Entry& entry : header.entries) add(state, std::move(entry), file, data_start);
  return {std::move(state), std::move(header.metadata)};
}

}  // namespace gpucnn::safetensors
