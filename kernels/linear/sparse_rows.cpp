#include <gpucnn/kernels/linear/sparse_rows.h>

#include <algorithm>
#include <atomic>

#include <gpucnn/core/threads/parallel.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpucnn/kernels/linear/sparse_rows.cpp"
#include <hwy/foreach_target.h>

#include <gpucnn/kernels/linear/sparse_rows-inl.h>

#if HWY_ONCE
namespace gpucnn::kernels {

HWY_EXPORT(count_nonzeros);
HWY_EXPORT(compress_rows);
HWY_EXPORT(compress_columns);
HWY_EXPORT(sparse_gemm);

namespace cpu {

SparseRows::SparseRows(const float* matrix, std::int64_t rows, std::int64_t columns, bool transposed) {
  constexpr std::int64_t kMinColumns = 16, kGrain = 32 * 1024;
  if (columns < kMinColumns) return;
  std::atomic<std::int64_t> nonzeros{0};
  parallel_ranges(rows * columns, kGrain, [&](std::int64_t first, std::int64_t last) {
    nonzeros += HWY_DYNAMIC_DISPATCH(count_nonzeros)(matrix + first, last - first);
  });
  pays_ = 2 * nonzeros < rows * columns;
  if (!pays_) return;
  compressed_.columns = columns;
  values_ = Tensor::empty({rows, compressed_.stride()});
  indices_ = Tensor::empty({rows, compressed_.stride()}, DType::i32);
  starts_ = Tensor::empty({rows, compressed_.blocks() + 1}, DType::i32);
  compressed_ = {columns, values_.data<float>(), indices_.data<std::int32_t>(), starts_.data<std::int32_t>()};
  compress(matrix, rows, transposed);
}

void SparseRows::compress(const float* matrix, std::int64_t rows, bool transposed) {
  constexpr std::int64_t kGrain = 16;
  parallel_ranges(rows, kGrain, [=, this](std::int64_t first, std::int64_t last) {
    const CompressedRows to = compressed_.from(first);
    if (transposed) {
      HWY_DYNAMIC_DISPATCH(compress_columns)(matrix + first, rows, last - first, to);
    } else {
      HWY_DYNAMIC_DISPATCH(compress_rows)(matrix + first * to.columns, last - first, to);
    }
  });
}

void SparseRows::multiply(const Gemm& p, std::int64_t first, std::int64_t block) const {
  HWY_DYNAMIC_DISPATCH(sparse_gemm)(p, compressed_.from(first), block);
}

}  // namespace cpu
}  // namespace gpucnn::kernels
#endif
