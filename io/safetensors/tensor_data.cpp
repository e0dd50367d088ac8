#include <gpucnn/io/safetensors/tensor_data.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include <gpucnn/core/memory/layout.h>

namespace gpucnn::safetensors {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;

/// Calls `use(part)` for pieces of a tensor of rank 4, images first to last. Pieces keep the memory that changing the order takes
/// small beside the tensor.
template <class Use>
void for_each_piece(const Tensor& tensor, const Use& use) {
  const std::size_t image_bytes = tensor.nbytes() / static_cast<std::size_t>(tensor.dim(0));
  const auto step = static_cast<std::int64_t>(std::max<std::size_t>(1, kPieceBytes / image_bytes));
  for (std::int64_t first = 0; first < tensor.dim(0); first += step) {
    Tensor part = tensor.narrow(first, std::min(step, tensor.dim(0) - first));
    use(part);
  }
}

/// Reads elements one after the other, as a type says.
class ElementReader {
 public:
  ElementReader(const InputFile& file, std::uint64_t offset, const StoredType& type) : file_(file), offset_(offset), type_(type) {}

  /// The next `count` elements.
  void read(std::byte* to, std::size_t count) {
    if (!type_.convert) return read_bytes({to, count * type_.bytes});
    const std::size_t step = std::min(count, kPieceBytes / type_.bytes);
    if (stored_.size() < step * type_.bytes) stored_.resize(step * type_.bytes);
    for (std::size_t first = 0; first < count; first += step) {
      const std::size_t some = std::min(step, count - first);
      read_bytes(std::span(stored_).first(some * type_.bytes));
      fits_ = type_.convert(stored_.data(), some, to + first * size_of(type_.dtype)) && fits_;
    }
  }

  bool fits() const { return fits_; }

 private:
  void read_bytes(std::span<std::byte> bytes) {
    file_.read(offset_, bytes);
    offset_ += bytes.size();
  }

  const InputFile& file_;
  std::uint64_t offset_;
  const StoredType& type_;
  std::vector<std::byte> stored_;
  bool fits_ = true;
};

}  // namespace

void write_data(AtomicFile& file, const Tensor& tensor) {
  if (layout::is_same(tensor.shape())) {
    const Tensor host = tensor.to(Device::cpu());
    return file.write({host.bytes(), host.nbytes()});
  }
  std::vector<std::byte> bytes;
  for_each_piece(tensor, [&](const Tensor& part) {
    bytes.resize(part.nbytes());
    const Tensor host = part.to(Device::cpu());
    layout::to_logical(host.bytes(), bytes.data(), part.shape(), size_of(part.dtype()));
    file.write(bytes);
  });
}

std::optional<Tensor> read_data(const InputFile& file, std::uint64_t offset, const Entry& entry) {
  Tensor tensor = Tensor::empty(entry.shape, entry.type->dtype);
  ElementReader reader(file, offset, *entry.type);
  if (layout::is_same(tensor.shape())) {
    reader.read(tensor.bytes(), static_cast<std::size_t>(tensor.numel()));
  } else {
    std::vector<std::byte> bytes;
    for_each_piece(tensor, [&](Tensor& part) {
      bytes.resize(part.nbytes());
      reader.read(bytes.data(), static_cast<std::size_t>(part.numel()));
      layout::to_memory(bytes.data(), part.bytes(), part.shape(), size_of(part.dtype()));
    });
  }
  if (!reader.fits()) return std::nullopt;
  return tensor;
}

}  // namespace gpucnn::safetensors
