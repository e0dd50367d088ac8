#include <gpucnn/core/memory/layout.h>

#include <cstring>

namespace gpucnn::layout {
namespace {

/// to[c][r] = from[r][c] for each of `count` matrices of `rows` x `columns`.
template <class T>
void transpose(const std::byte* from_bytes, std::byte* to_bytes, std::int64_t count, std::int64_t rows, std::int64_t columns) {
  const T* from = reinterpret_cast<const T*>(from_bytes);
  T* to = reinterpret_cast<T*>(to_bytes);
  for (std::int64_t i = 0; i < count; ++i, from += rows * columns, to += rows * columns) {
    // The longer side innermost: an image has few channels and many pixels.
    if (rows >= columns) {
      for (std::int64_t c = 0; c < columns; ++c) {
        for (std::int64_t r = 0; r < rows; ++r) to[c * rows + r] = from[r * columns + c];
      }
    } else {
      for (std::int64_t r = 0; r < rows; ++r) {
        for (std::int64_t c = 0; c < columns; ++c) to[c * rows + r] = from[r * columns + c];
      }
    }
  }
}

void transpose(const std::byte* from, std::byte* to, std::int64_t count, std::int64_t rows, std::int64_t columns,
               std::size_t item) {
  switch (item) {
    case 1: return transpose<std::uint8_t>(from, to, count, rows, columns);
    case 2: return transpose<std::uint16_t>(from, to, count, rows, columns);
    case 4: return transpose<std::uint32_t>(from, to, count, rows, columns);
    default: return transpose<std::uint64_t>(from, to, count, rows, columns);
  }
}

std::size_t bytes_of(const Shape& shape, std::size_t item) { return static_cast<std::size_t>(shape.numel()) * item; }

}  // namespace

bool is_same(const Shape& shape) noexcept {
  return shape.rank() != 4 || shape[1] == 1 || (shape[2] == 1 && shape[3] == 1) || shape.numel() == 0;
}

void to_memory(const std::byte* logical, std::byte* memory, const Shape& shape, std::size_t item) {
  if (!is_same(shape)) return transpose(logical, memory, shape[0], shape[1], shape[2] * shape[3], item);
  if (shape.numel()) std::memcpy(memory, logical, bytes_of(shape, item));
}

void to_logical(const std::byte* memory, std::byte* logical, const Shape& shape, std::size_t item) {
  if (!is_same(shape)) return transpose(memory, logical, shape[0], shape[2] * shape[3], shape[1], item);
  if (shape.numel()) std::memcpy(logical, memory, bytes_of(shape, item));
}

}  // namespace gpucnn::layout
