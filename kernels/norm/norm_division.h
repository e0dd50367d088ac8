#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/cuda/vector_access.h>
#include <gpucnn/kernels/norm/normalize.h>

/// How the CUDA twins of the normalisations walk x. A thread keeps to its columns, whose numbers it holds in registers, and walks
/// down the rows. In .cu files only.
namespace gpucnn::kernels::cuda::norm {

inline constexpr std::int64_t kUnits = 32;     // of a tile, at most: what a warp reads at once
inline constexpr std::int64_t kRowsEach = 16;  // that a thread walks, or more
inline constexpr std::int64_t kMaxSlices = 1024;

/// How a segment is divided among blocks: into tiles of units, which are `width` columns each, and slices of rows.
struct Division {
  NormSizes sizes;
  std::int64_t tiles, units;  // of each tile but perhaps the last
  std::int64_t lines;         // rows that the threads of a block read at once
  std::int64_t slices, rows;  // of each slice but perhaps the last

  std::int64_t blocks() const { return sizes.S * slices * tiles; }
};

inline Division divide(const NormSizes& sizes, int width) {
  Division d{};
  d.sizes = sizes;
  const std::int64_t units = sizes.C / width;
  d.tiles = (units + kUnits - 1) / kUnits;
  d.units = (units + d.tiles - 1) / d.tiles;
  d.lines = kThreads / d.units;
  const std::int64_t slices = std::max<std::int64_t>(1, kMaxSlices / sizes.S);
  d.rows = std::max(d.lines * kRowsEach, (sizes.R + slices - 1) / slices);
  d.slices = (sizes.R + d.rows - 1) / d.rows;
  return d;
}

/// Where a thread stands in the division.
struct Place {
  __device__ Place(const Division& d, std::int64_t block, int width)
      : line(threadIdx.x / d.units),
        unit(threadIdx.x % d.units),
        column((block % d.tiles * d.units + unit) * width),
        slice(block / d.tiles % d.slices),
        segment(block / d.tiles / d.slices),
        end((slice + 1) * d.rows < d.sizes.R ? (slice + 1) * d.rows : d.sizes.R),
        works(line < d.lines && column < d.sizes.C) {}

  std::int64_t line, unit, column, slice, segment, end;
  bool works;
};

/// What differences are taken from: a value of the segment, so that they do not cancel.
__device__ inline float center_of(float value) { return value - value == 0 ? value : 0.0F; }

/// A column's forward: (x - mean) scale + offset.
struct ColumnMap {
  __device__ ColumnMap(const float* statistics, const float* weight, const float* bias, const NormSizes& s, std::int64_t segment,
                       std::int64_t c) {
    const std::int64_t groups = s.S * s.G;
    const float* const of = statistics + segment * s.G + c / (s.C / s.G);
    mean = of[kMean * groups];
    scale = of[kRstd * groups] * (weight ? weight[c] : 1.0F);
    offset = (bias ? bias[c] : 0.0F) - of[kMeanRest * groups] * scale;
  }
  __device__ ColumnMap() : mean(0), scale(0), offset(0) {}
  __device__ float operator()(float x) const { return fmaf(x - mean, scale, offset); }

  float mean, scale, offset;
};

/// A ReLU behind the normalisation. `of_y` reads its y, `of_x` computes that again.
enum class ReluMask : std::uint8_t { none, of_x, of_y };

/// The gradient `dy` where a ReLU passed it on, else 0. T is the dtype to which the forward rounded.
template <ReluMask kMask, class T>
__device__ float masked(float dy, float x, T y, const ColumnMap& forward) {
  if constexpr (kMask == ReluMask::of_x) return widen(narrow<T>(forward(x))) <= 0 ? 0.0F : dy;
  if constexpr (kMask == ReluMask::of_y) return widen(y) <= 0 ? 0.0F : dy;
  return dy;
}

/// Calls `body` with 4 columns a thread where these lie on boundaries, else with 1.
template <class Body, class... T>
void with_width(const NormSizes& sizes, const Body& body, const T*... pointers) {
  if (sizes.C % 4 == 0 && are_aligned<4>(pointers...)) {
    body(std::integral_constant<int, 4>());
  } else {
    body(std::integral_constant<int, 1>());
  }
}

template <class T = float>
const T* data_of(const Tensor& tensor) {
  return tensor.defined() ? tensor.device_data<T>() : nullptr;
}

/// Calls `body` with the constant that `mask` is.
template <class Body>
void with_mask(ReluMask mask, const Body& body) {
  if (mask == ReluMask::of_x) {
    body(std::integral_constant<ReluMask, ReluMask::of_x>());
  } else if (mask == ReluMask::of_y) {
    body(std::integral_constant<ReluMask, ReluMask::of_y>());
  } else {
    body(std::integral_constant<ReluMask, ReluMask::none>());
  }
}

/// The tensors that a backward reads, of which the statistics of x read none.
struct Operands {
  Tensor dy = {}, y = {}, statistics = {}, weight = {}, bias = {};
  ReluMask mask = ReluMask::none;
};

/// The doubles [S, slices, 2, C] that `sums_kernel` makes; without a dy those of x alone.
struct SliceSums {
  Tensor sums;
  std::int64_t slices;
};

/// The first pass of a backward; also of the statistics, with no operands. dy, masked, to `dsum` if that is defined.
SliceSums slice_sums(const Tensor& x, const Operands& operands, const NormSizes& sizes, Tensor& dsum, Stream& stream);

/// The gradients, and slope and offset of dx as terms, f32 [2, S * G], where they are defined, from the sums. With a `part` the
/// terms are of sums over the whole batch; the gradients are those of x all the same.
void put_terms(SliceSums& sums, const Operands& operands, const NormSizes& sizes, const PartOfBatch* part, NormGradients& gradients,
               Tensor& terms, Stream& stream);

}  // namespace gpucnn::kernels::cuda::norm
