#pragma once

#include <cstdint>

/// What the loops of normalize_cpu.cpp, of which there is one for each instruction set, are given.
namespace gpucnn::kernels::cpu {

/// A ReLU behind the normalisation. `of_y` reads its y, `of_x` computes that again.
enum class ReluMask : std::uint8_t { none, of_x, of_y };

/// `count` elements of a segment, from the beginning of a row of `width` columns on.
struct NormRows {
  std::int64_t width, count;
  const float *x, *dy = nullptr;
  const float* forward = nullptr;  // [3, width]: center, scale and offset of a column's forward; for of_x
  const float* y = nullptr;        // for of_y
  ReluMask mask = ReluMask::none;
};

}  // namespace gpucnn::kernels::cpu
