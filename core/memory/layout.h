#pragma once

#include <cstddef>
#include <cstdint>

#include <gpucnn/core/shape.h>

/// Memory of rank-4 tensors is channels-last: logical [N, C, H, W] lies as N, H, W, C. Every other rank lies as written.
/// These functions change the order of host memory at the edges of the library; `item` is the size of an element in bytes.
namespace gpucnn::layout {

/// Whether logical and memory order are the same for this shape.
bool is_same(const Shape& shape) noexcept;

/// From PyTorch's order (N, C, H, W) to memory order.
void to_memory(const std::byte* logical, std::byte* memory, const Shape& shape, std::size_t item);

/// From memory order to PyTorch's order.
void to_logical(const std::byte* memory, std::byte* logical, const Shape& shape, std::size_t item);

}  // namespace gpucnn::layout
