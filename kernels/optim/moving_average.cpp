#include <gpucnn/kernels/optim/moving_average.h>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>
#include <gpucnn/kernels/optim/twins.h>

namespace gpucnn::kernels {

void moving_average(const Tensor& x, double decay, const Tensor& n_averaged, Tensor& average, Stream& stream) {
  const DType dtype = x.defined() && x.dtype() != DType::bf16 ? x.dtype() : DType::f32;
  check_tensor("moving_average", "x", x, dtype, stream);
  check_tensor("moving_average", "average", average, x.shape(), dtype, stream);
  check_tensor("moving_average", "n_averaged", n_averaged, Shape{}, DType::i64, stream);
  check_value("moving_average", "decay", decay, decay >= 0 && decay <= 1, "in [0, 1]");
  dispatch(
      stream, [&] { cpu::moving_average(x, decay, n_averaged, average, stream); },
      [&] { cuda::moving_average(x, decay, n_averaged, average, stream); });
}

void count_average(Tensor& n_averaged, Stream& stream) {
  check_tensor("count_average", "n_averaged", n_averaged, Shape{}, DType::i64, stream);
  dispatch(
      stream, [&] { cpu::count_average(n_averaged, stream); }, [&] { cuda::count_average(n_averaged, stream); });
}

}  // namespace gpucnn::kernels
