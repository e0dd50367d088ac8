#include <gpucnn/data/files/idx_file.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include <gpucnn/core/memory/host_vector.h>
#include <gpucnn/core/memory/layout.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn {
namespace {

constexpr std::uint8_t kUnsignedBytes = 0x08;
constexpr std::uint64_t kMagicSize = 4, kExtentSize = 4;

std::uint64_t head_size(int rank) { return kMagicSize + kExtentSize * static_cast<std::uint64_t>(rank); }

/// In words, what a byte of type stands for.
std::string type_name(std::uint8_t type) {
  const char* name = type == 0x09   ? " (signed bytes)"
                     : type == 0x0B ? " (16-bit integers)"
                     : type == 0x0C ? " (32-bit integers)"
                     : type == 0x0D ? " (floats)"
                     : type == 0x0E ? " (doubles)"
                                    : "";
  return formatted("{:02X}{}", type, name);
}

/// The number of rank and 2^64 - 1 if it is more.
std::uint64_t product(std::span<const std::int64_t> extents) {
  std::uint64_t count = 1;
  if (std::ranges::find(extents, 0) != extents.end()) return 0;
  for (const std::int64_t extent : extents) {
    if (__builtin_mul_overflow(count, static_cast<std::uint64_t>(extent), &count)) return UINT64_MAX;
  }
  return count;
}

Shape read_head(UnpackedFile& file) {
  std::array<std::uint8_t, kMagicSize> magic{};
  file.read(std::as_writable_bytes(std::span(magic)));
  if (magic[0] != 0 || magic[1] != 0) {
    file.fail(0, "an IDX file, which begins with 00 00", formatted("{:02X} {:02X}", magic[0], magic[1]));
  }
  if (magic[2] != kUnsignedBytes) file.fail(2, "the type 08 (unsigned bytes)", type_name(magic[2]));
  const int rank = magic[3];
  if (rank < 1 || rank > Shape::kMaxRank) file.fail(3, formatted("1 to {} dimensions", Shape::kMaxRank), formatted("{}", rank));
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(rank) * kExtentSize);
  file.read(std::as_writable_bytes(std::span(bytes)));
  std::vector<std::int64_t> extents(static_cast<std::size_t>(rank));
  for (std::size_t i = 0; i < bytes.size(); ++i) extents[i / kExtentSize] = extents[i / kExtentSize] << 8 | bytes[i];

  const std::uint64_t head = head_size(rank), count = product(extents), max_size = file.max_size();
  const std::string sizes = formatted("[{}]", joined(extents, ", "));
  if (max_size < head || count > max_size - head) {
    file.fail(kMagicSize,
              formatted("extents whose numbers a file of this size holds (at most {} bytes)", max_size - std::min(max_size, head)),
              sizes);
  }
  if (!file.is_packed() && count < max_size - head) {
    file.fail(head + count, formatted("the end of the file behind {} numbers ({})", count, sizes),
              formatted("{} bytes more", max_size - head - count));
  }
  return Shape::from(extents);
}

}  // namespace

IdxFile::IdxFile(const std::filesystem::path& path) : file_(path), shape_(read_head(file_)) {}

void IdxFile::require_rank(int rank, const std::string& meaning) const {
  if (shape_.rank() != rank)
    file_.fail(kMagicSize - 1, formatted("{} dimensions ({})", rank, meaning), formatted("{}", shape_.rank()));
}

Tensor IdxFile::read(std::int64_t count) {
  const Shape wanted = shape_.with(0, count);
  const auto size = static_cast<std::size_t>(wanted.numel());
  Tensor numbers;
  if (layout::is_same(wanted)) {
    numbers = Tensor::empty(wanted, DType::u8);
    file_.read({numbers.bytes(), size});
  } else {
    std::vector<std::uint8_t> as_written = host_vector<std::uint8_t>(wanted.numel());
    file_.read(std::as_writable_bytes(std::span(as_written)));
    numbers = Tensor::from(as_written, wanted);
  }
  file_.skip(static_cast<std::uint64_t>(shape_.numel()) - size);
  file_.require_end();
  return numbers;
}

void IdxFile::fail_extent(int dim, const std::string& expected, const std::string& found) const {
  file_.fail(head_size(dim), expected, found);
}

void IdxFile::fail_element(std::int64_t index, const std::string& expected, const std::string& found) const {
  file_.fail(head_size(shape_.rank()) + static_cast<std::uint64_t>(index), expected, found);
}

}  // namespace gpucnn
