#pragma once

#include <gpucnn/kernels/common/size2.h>

#include "reference/values.h"

namespace gpucnn::reference {

/// The element of x that element (i, j) of plane `plane` of y is a copy of; y has H * scale.height by W * scale.width elements.
inline std::size_t source_of(std::int64_t plane, std::int64_t i, std::int64_t j, std::int64_t H, std::int64_t W, Size2 scale) {
  return static_cast<std::size_t>((plane * H + i / scale.height) * W + j / scale.width);
}

/// Calls `body(e, source)` for each element e of y.
template <class Body>
void for_enlarged(std::int64_t planes, std::int64_t H, std::int64_t W, Size2 scale, const Body& body) {
  std::size_t e = 0;
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    for (std::int64_t i = 0; i < H * scale.height; ++i) {
      for (std::int64_t j = 0; j < W * scale.width; ++j) body(e++, source_of(plane, i, j, H, W, scale));
    }
  }
}

/// x: [planes, H, W].
inline Values upsample_nearest2d(std::int64_t planes, std::int64_t H, std::int64_t W, Size2 scale, const Values& x) {
  Values y(x.size() * static_cast<std::size_t>(scale.height * scale.width));
  for_enlarged(planes, H, W, scale, [&](std::size_t e, std::size_t source) { y[e] = x[source]; });
  return y;
}

inline Values upsample_nearest2d_backward(std::int64_t planes, std::int64_t H, std::int64_t W, Size2 scale, const Values& dy) {
  Values dx(static_cast<std::size_t>(planes * H * W));
  for_enlarged(planes, H, W, scale, [&](std::size_t e, std::size_t source) { dx[source] += dy[e]; });
  return dx;
}

}  // namespace gpucnn::reference
