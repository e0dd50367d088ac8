#pragma once

#include <algorithm>
#include <cstdint>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>

namespace gpucnn::kernels {

/// Calls `body(first, last)` for the rows of `images`, in tasks that look at about 32 Ki elements, `window` for each of `images`.
template <class Body>
void for_rows(const Tensor& images, std::int64_t window, const Body& body) {
  if (images.numel() == 0) return;
  const std::int64_t row = images.dim(1) * images.dim(3) * window;
  parallel_ranges(images.dim(0) * images.dim(2), std::max<std::int64_t>(1, 32 * 1024 / row), body);
}

}  // namespace gpucnn::kernels
