#include <algorithm>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/copy/twins.h>
#include <gpucnn/kernels/cuda/vector_access.h>

// Both directions transpose a matrix for each image: pixels x channels, and back. A block moves a tile through shared memory, so
// that loads and stores are coalesced.
namespace gpucnn::kernels::cuda {
namespace {

constexpr unsigned kElements = 8;  // of a thread, all in flight at once
constexpr std::int64_t kTile = kElements * kThreads;

/// `count` matrices, cut into tiles that hold at most kTile elements.
struct Matrices {
  std::int64_t count, rows, columns;
  unsigned tile_rows, tile_columns;

  __host__ __device__ std::int64_t tiles_down() const { return (rows + tile_rows - 1) / tile_rows; }
  __host__ __device__ std::int64_t tiles_across() const { return (columns + tile_columns - 1) / tile_columns; }
};

/// The row stride of the tile in shared memory. It is odd, so that a column has no bank conflicts.
__host__ __device__ unsigned pitch(const Matrices& m) { return m.tile_columns | 1; }

/// y[n][c][r] = x[n][r][c].
template <class T>
__global__ void __launch_bounds__(kThreads) transpose_kernel(Matrices m, const T* x, T* y) {
  T* tile = dynamic_shared<T>();
  const std::int64_t across = m.tiles_across(), down = m.tiles_down(), tiles = m.count * down * across;
  for (std::int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
    const std::int64_t top = t / across % down * m.tile_rows, left = t % across * m.tile_columns;
    const std::int64_t matrix = t / across / down * m.rows * m.columns;
    const auto rows = static_cast<unsigned>(std::min<std::int64_t>(m.tile_rows, m.rows - top));
    const auto columns = static_cast<unsigned>(std::min<std::int64_t>(m.tile_columns, m.columns - left));
    const T* from = x + matrix + top * m.columns + left;
    T* to = y + matrix + left * m.rows + top;
    T values[kElements];
    for (unsigned k = 0; k < kElements; ++k) {
      const unsigned e = k * kThreads + threadIdx.x, r = e / columns, c = e % columns;
      if (r < rows) values[k] = from[r * m.columns + c];
    }
    for (unsigned k = 0; k < kElements; ++k) {
      const unsigned e = k * kThreads + threadIdx.x, r = e / columns, c = e % columns;
      if (r < rows) tile[r * pitch(m) + c] = values[k];
    }
    __syncthreads();
    for (unsigned k = 0; k < kElements; ++k) {
      const unsigned e = k * kThreads + threadIdx.x, c = e / rows, r = e % rows;
      if (c < columns) to[c * m.rows + r] = tile[r * pitch(m) + c];
    }
    __syncthreads();  // the next tile overwrites this one
  }
}

/// Transposes each of `count` matrices.
void transpose_all(const char* name, const Tensor& x, Tensor& y, std::int64_t count, std::int64_t rows, std::int64_t columns,
                   const Stream& stream) {
  if (count * rows * columns == 0) return;
  // A tile covers the whole of a short side; the rest of its elements go to the other side.
  constexpr std::int64_t kRun = 32;
  const std::int64_t tile_rows = std::min(rows, kTile / std::min(columns, kRun));
  const std::int64_t tile_columns = std::min(columns, kTile / tile_rows);
  const Matrices m{count, rows, columns, static_cast<unsigned>(tile_rows), static_cast<unsigned>(tile_columns)};
  for_activation(x.dtype(), [&]<class T>(T) {
    const std::size_t bytes = sizeof(T) * m.tile_rows * pitch(m);
    const std::int64_t tiles = count * m.tiles_down() * m.tiles_across();
    launch(stream, name, {tiles, kThreads, bytes}, transpose_kernel<T>, m, x.device_data<T>(), y.device_data<T>());
  });
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::flatten(const Tensor& x, Tensor& y, Stream& stream) {
  transpose_all("flatten", x, y, x.dim(0), x.dim(2) * x.dim(3), x.dim(1), stream);
}

void cuda::flatten_backward(const Tensor& dy, Tensor& dx, Stream& stream) {
  transpose_all("flatten_backward", dy, dx, dx.dim(0), dx.dim(1), dx.dim(2) * dx.dim(3), stream);
}

}  // namespace gpucnn::kernels
