#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/combine/twins.h>
#include <gpucnn/kernels/cuda/vector_access.h>

namespace gpucnn::kernels::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads)
    copy_rows_kernel(const T* from, std::int64_t from_pitch, T* to, std::int64_t to_pitch, std::int64_t rows, std::int64_t width) {
  const std::int64_t stride = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t e = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; e < rows * width; e += stride) {
    const std::int64_t r = e / width, c = e % width;
    to[r * to_pitch + c] = from[r * from_pitch + c];
  }
}

template <class T>
void copy_rows(const char* name, const T* from, std::int64_t from_pitch, T* to, std::int64_t to_pitch, const ColumnBlock& columns,
               const Stream& stream) {
  launch(stream, name, element_grid(stream, columns.rows * columns.width, false, 1), copy_rows_kernel<T>, from, from_pitch, to,
         to_pitch, columns.rows, columns.width);
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::put_columns(const Tensor& part, const ColumnBlock& columns, Tensor& whole, Stream& stream) {
  for_activation(part.dtype(), [&]<class T>(T) {
    copy_rows("put_channels", part.device_data<T>(), columns.width, whole.device_data<T>() + columns.first, columns.pitch, columns,
              stream);
  });
}

void cuda::take_columns(const Tensor& whole, const ColumnBlock& columns, Tensor& part, Stream& stream) {
  for_activation(part.dtype(), [&]<class T>(T) {
    copy_rows("take_channels", whole.device_data<T>() + columns.first, columns.pitch, part.device_data<T>(), columns.width, columns,
              stream);
  });
}

}  // namespace gpucnn::kernels
