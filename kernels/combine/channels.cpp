#include <gpucnn/kernels/combine/channels.h>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/combine/twins.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {
namespace {

bool differ_in_channels_only(const Shape& a, const Shape& b) {
  return a.rank() >= 2 && a.rank() == b.rank() && a.with(1, 1) == b.with(1, 1);
}

/// Where `part` lies in memory: rows hold the channels of one pixel, or of one image for all ranks but 4.
ColumnBlock columns_of(const char* op, const Tensor& part, std::int64_t first, const Tensor& whole, const Stream& stream) {
  const DType dtype = check_activation(op, "whole", whole, stream);
  check_tensor(op, "part", part, dtype, stream);
  check_apart(op, "whole", whole, "part", part);
  if (!differ_in_channels_only(part.shape(), whole.shape()) || first < 0 || first > whole.dim(1) - part.dim(1)) {
    throw std::invalid_argument(
        formatted("{}: channels of {} from {} on are none of {}", op, part.shape().string(), first, whole.shape().string()));
  }
  if (part.numel() == 0) return {};
  const std::int64_t rows = part.rank() == 4 ? part.dim(0) * part.dim(2) * part.dim(3) : part.dim(0);
  const std::int64_t width = part.numel() / rows;
  return {rows, whole.numel() / rows, width / part.dim(1) * first, width};
}

}  // namespace

Shape concat_shape(const Shape& a, const Shape& b) {
  if (!differ_in_channels_only(a, b)) {
    throw std::invalid_argument(formatted("concat: {} and {} must be [N, C, …] that differ in C alone", a.string(), b.string()));
  }
  std::int64_t channels = 0;
  if (__builtin_add_overflow(a[1], b[1], &channels)) throw std::invalid_argument("concat: more channels than 63 bits count");
  return a.with(1, channels);
}

void put_channels(const Tensor& part, std::int64_t first, Tensor& whole, Stream& stream) {
  const ColumnBlock columns = columns_of("put_channels", part, first, whole, stream);
  if (columns.rows == 0) return;
  dispatch(
      stream, [&] { cpu::put_columns(part, columns, whole, stream); }, [&] { cuda::put_columns(part, columns, whole, stream); });
}

void take_channels(const Tensor& whole, std::int64_t first, Tensor& part, Stream& stream) {
  const ColumnBlock columns = columns_of("take_channels", part, first, whole, stream);
  if (columns.rows == 0) return;
  dispatch(
      stream, [&] { cpu::take_columns(whole, columns, part, stream); }, [&] { cuda::take_columns(whole, columns, part, stream); });
}

}  // namespace gpucnn::kernels
