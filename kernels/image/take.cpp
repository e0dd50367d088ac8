#include <gpucnn/kernels/image/take.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/image/indices.h>

namespace gpucnn::kernels {

namespace cpu {
void take(const Tensor& x, std::span<const std::int64_t> indices, Tensor& y);
}  // namespace cpu

namespace cuda {
void take(const Tensor& x, std::span<const std::int64_t> indices, Tensor& y, Stream& stream);
}  // namespace cuda

void take(const Tensor& x, std::span<const std::int64_t> indices, Tensor& y, Stream& stream) {
  check_tensor("take", "x", x, DType::i32, stream);
  check_rank("take", "x", x, 1);
  check_indices("take", indices, x.dim(0));
  check_tensor("take", "y", y, Shape{indices.size()}, DType::i32, stream);
  dispatch(
      stream, [&] { cpu::take(x, indices, y); }, [&] { cuda::take(x, indices, y, stream); });
}

}  // namespace gpucnn::kernels
