#pragma once

#include <cstdint>

/// The loops of normalisation over rows of columns, one of each for every instruction set.
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

/// The two sums of each column to `sums`, [2, width]: of f, and of f * (x - center). f is the masked dy; where there is no dy it is
/// x - center. The masked dy goes to `dsum`, if there are a mask and a place for it.
void sum_terms(const NormRows& rows, const float* centers, float* dsum, double* sums);

/// y = (x - center) scale + offset, + addend if there is one, and the ReLU of that if it is wanted. `streamed`: past the caches.
void normalize_rows(const NormRows& rows, const float* addend, bool relu, bool streamed, float* y);

/// dx = dy scale + (x - center) slope + offset, dy masked; columns: [4, width]. If `fixed` x plays no part, not even where it is
/// infinite: dx = dy scale.
void backward_rows(const NormRows& rows, const float* columns, bool fixed, bool streamed, float* dx);

}  // namespace gpucnn::kernels::cpu
