// Included once for each instruction set, as Highway's own -inl.h files are.
#if defined(GPUCNN_KERNELS_SPARSE_ROWS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GPUCNN_KERNELS_SPARSE_ROWS_INL_H
#undef GPUCNN_KERNELS_SPARSE_ROWS_INL_H
#else
#define GPUCNN_KERNELS_SPARSE_ROWS_INL_H
#endif

#include <algorithm>
#include <cstdint>

#include <gpucnn/kernels/linear/sparse_rows.h>
#include <gpucnn/kernels/simd/transpose-inl.h>
#include <gpucnn/kernels/simd/vectors-inl.h>

// Compressed rows of a matrix, and the GEMM with them.
HWY_BEFORE_NAMESPACE();
namespace gpucnn::kernels::HWY_NAMESPACE {

std::int64_t count_nonzeros(const float* from, std::int64_t count) {
  std::size_t nonzeros = 0;
  const auto add = [&](auto d, std::int64_t i)
                       HWY_ATTR { nonzeros += hn::CountTrue(d, hn::Not(hn::Eq(hn::LoadU(d, from + i), hn::Zero(d)))); };
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) add(Floats(), i);
  for (; i < count; ++i) add(hn::CappedTag<float, 1>(), i);
  return static_cast<std::int64_t>(nonzeros);
}

/// Appends the elements of `from` that are not 0, which are those of columns from `column` of a block on. `count`: how many the row
/// has.
template <class D>
HWY_INLINE void append_nonzeros(D d, hn::Vec<D> from, std::int64_t column, const CompressedRows& row, std::int32_t& count) {
  const hn::RebindToSigned<D> di;
  const auto kept = hn::Not(hn::Eq(from, hn::Zero(d)));
  const auto columns = hn::BitCast(d, hn::Iota(di, static_cast<std::int32_t>(column)));
  hn::StoreU(hn::Compress(from, kept), d, row.values + count);
  hn::StoreU(hn::BitCast(di, hn::Compress(columns, kept)), di, row.indices + count);
  count += static_cast<std::int32_t>(hn::CountTrue(d, kept));
}

void compress_rows(const float* from, std::int64_t rows, const CompressedRows& to) {
  for (std::int64_t r = 0; r < rows; ++r, from += to.columns) {
    const CompressedRows row = to.from(r);
    std::int32_t count = 0;
    for (std::int64_t b = 0; b < to.blocks(); ++b) {
      const std::int64_t last = std::min(to.columns, (b + 1) * CompressedRows::kBlock);
      row.starts[b] = count;
      const std::int64_t first = b * CompressedRows::kBlock;
      std::int64_t c = first;
      for (; c + kLanes <= last; c += kLanes) append_nonzeros(Floats(), hn::LoadU(Floats(), from + c), c - first, row, count);
      for (; c < last; ++c) {
        const hn::CappedTag<float, 1> one;
        append_nonzeros(one, hn::LoadU(one, from + c), c - first, row, count);
      }
    }
    row.starts[to.blocks()] = count;
  }
}

/// Of a matrix whose columns lie `stride` apart: up to kLanes rows from `from` on.
HWY_INLINE void compress_few_columns(const float* from, std::int64_t stride, int rows, const CompressedRows& to) {
  std::int32_t counts[kLanes] = {};
  for (std::int64_t b = 0; b < to.blocks(); ++b) {
    const std::int64_t last = std::min(to.columns, (b + 1) * CompressedRows::kBlock);
    for (int r = 0; r < rows; ++r) to.from(r).starts[b] = counts[r];
    const std::int64_t first = b * CompressedRows::kBlock;
    std::int64_t c = first;
    for (; rows == kLanes && c + kLanes <= last; c += kLanes) {
      const float* columns[kLanes];
      for (int l = 0; l < kLanes; ++l) columns[l] = from + (c + l) * stride;
      Vector elements[kLanes];
      transpose_lanes(columns, 0, elements);
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) append_nonzeros(Floats(), elements[r], c - first, to.from(r), counts[r]);
    }
    for (; c < last; ++c) {
      const hn::CappedTag<float, 1> one;
      for (int r = 0; r < rows; ++r) append_nonzeros(one, hn::LoadU(one, from + c * stride + r), c - first, to.from(r), counts[r]);
    }
  }
  for (int r = 0; r < rows; ++r) to.from(r).starts[to.blocks()] = counts[r];
}

void compress_columns(const float* from, std::int64_t stride, std::int64_t rows, const CompressedRows& to) {
  for (std::int64_t r = 0; r < rows; r += kLanes) {
    compress_few_columns(from + r, stride, static_cast<int>(std::min<std::int64_t>(kLanes, rows - r)), to.from(r));
  }
}

/// Row m of c, V vectors from i on: the terms of a block of a's columns.
template <int V, class D>
HWY_INLINE void sparse_row(D d, const Gemm& p, const CompressedRows& row, std::int64_t block, std::int64_t m, std::int64_t i) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const std::int32_t last = row.starts[block + 1];
  hn::Vec<D> even[V], odd[V];  // two sums, to hide the latency of MulAdd
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) even[v] = odd[v] = hn::Zero(d);
  const auto add = [&](std::int64_t k, hn::Vec<D>(&sums)[V]) HWY_ATTR {
    const auto factor = hn::Set(d, row.values[k]);
    const float* b = p.b + row.indices[k] * p.b_stride + i;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sums[v] = hn::MulAdd(factor, hn::LoadU(d, b + v * lanes), sums[v]);
  };
  std::int64_t k = row.starts[block];
  for (; k + 2 <= last; k += 2) {
    add(k, even);
    add(k + 1, odd);
  }
  if (k < last) add(k, even);
  float* c = p.c + m * p.c_stride + i;
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v, c += lanes) {
    const auto sum = hn::Add(even[v], odd[v]);
    hn::StoreU(p.accumulate ? hn::Add(hn::LoadU(d, c), sum) : sum, d, c);
  }
}

template <int V, class D>
HWY_INLINE void sparse_columns(D d, const Gemm& p, const CompressedRows& a, std::int64_t block, std::int64_t i) {
  constexpr std::int64_t kAhead = 8;  // rows of c, which no prefetcher sees coming
  for (std::int64_t m = 0; m < p.M; ++m) {
    if (m + kAhead < p.M) {
      for (int v = 0; v < V; ++v) __builtin_prefetch(p.c + (m + kAhead) * p.c_stride + i + v * kLanes);
    }
    sparse_row<V>(d, p, a.from(m), block, m, i);
  }
}

/// `gemm` for a factor a that is a block of columns of `a`.
void sparse_gemm(const Gemm& p, const CompressedRows& a, std::int64_t block) {
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= p.I; i += 4 * kLanes) sparse_columns<4>(Floats(), p, a, block, i);
  for (; i + kLanes <= p.I; i += kLanes) sparse_columns<1>(Floats(), p, a, block, i);
  for (; i < p.I; ++i) sparse_columns<1>(hn::CappedTag<float, 1>(), p, a, block, i);
}

}  // namespace gpucnn::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
