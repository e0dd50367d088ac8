#include <gpucnn/kernels/conv/bias_grad.h>

#include <algorithm>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/kernels/cuda/block_reduce.h>
#include <gpucnn/kernels/cuda/vector_access.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr std::int64_t kColumns = 32;   // of a tile, at most: what a warp reads at once
constexpr std::int64_t kRowsEach = 16;  // that a thread adds, or more
constexpr int kAtOnce = 8;              // of them in flight
constexpr std::int64_t kMaxSlices = 1024;

/// How dy is divided among blocks: into tiles of columns and slices of rows.
struct Division {
  std::int64_t R, K;
  std::int64_t tiles, columns;  // of each tile but perhaps the last
  std::int64_t lines;           // rows that the threads of a block read at once
  std::int64_t slices, rows;    // of each slice but perhaps the last
};

Division divide(std::int64_t R, std::int64_t K) {
  Division division{};
  division.R = R;
  division.K = K;
  division.tiles = (K + kColumns - 1) / kColumns;
  division.columns = (K + division.tiles - 1) / division.tiles;
  division.lines = kThreads / division.columns;
  division.rows = std::max(division.lines * kRowsEach, (R + kMaxSlices - 1) / kMaxSlices);
  division.slices = std::max<std::int64_t>(1, (R + division.rows - 1) / division.rows);
  return division;
}

/// sums[slice, k] = the sum over the slice's rows; where there is one slice, dbias is written at once.
template <class T>
__global__ void __launch_bounds__(kThreads, sizeof(T) == 2 ? 4 : 0)
    slices_kernel(const T* dy, Division d, double* sums, bool accumulate, float* dbias) {
  GPUCNN_SHARED(double, shared, kThreads);
  const std::int64_t line = threadIdx.x / d.columns, column = threadIdx.x % d.columns;
  for (std::int64_t block = blockIdx.x; block < d.tiles * d.slices; block += gridDim.x) {
    const std::int64_t k = block % d.tiles * d.columns + column, slice = block / d.tiles;
    const std::int64_t end = (slice + 1) * d.rows < d.R ? (slice + 1) * d.rows : d.R;
    const bool works = line < d.lines && k < d.K;
    const auto element = [=](std::int64_t r) { return widen(dy[r * d.K + k]); };
    shared[threadIdx.x] = works ? strided_sum<kAtOnce>(slice * d.rows + line, end, d.lines, element) : 0;
    for (std::int64_t count = d.lines; count > 1;) {
      const std::int64_t half = (count + 1) / 2;
      __syncthreads();
      if (line + half < count) shared[threadIdx.x] += shared[threadIdx.x + half * d.columns];
      count = half;
    }
    if (works && line == 0) {
      if (d.slices == 1) {
        put_sum(shared[threadIdx.x], accumulate, dbias + k);
      } else {
        sums[slice * d.K + k] = shared[threadIdx.x];
      }
    }
    __syncthreads();  // before the next block's sums are written
  }
}

/// A warp adds the slices of one column.
__global__ void __launch_bounds__(kThreads)
    columns_kernel(const double* sums, std::int64_t slices, std::int64_t K, bool accumulate, float* dbias) {
  constexpr int kWarps = kThreads / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (std::int64_t k = std::int64_t{blockIdx.x} * kWarps + threadIdx.x / kWarp; k < K; k += std::int64_t{gridDim.x} * kWarps) {
    double sum = 0;
    for (std::int64_t slice = lane; slice < slices; slice += kWarp) sum += sums[slice * K + k];
    sum = warp_sum(sum);
    if (lane == 0) put_sum(sum, accumulate, dbias + k);
  }
}

}  // namespace

void bias_grad(const Tensor& dy, bool accumulate, Tensor& dbias, Stream& stream) {
  const std::int64_t K = dbias.numel();
  if (K == 0) return;
  const Division division = divide(dy.numel() / K, K);
  const bool direct = division.slices == 1;
  Tensor memory;
  if (!direct) memory = Tensor::empty({division.slices * K * std::int64_t{sizeof(double)}}, DType::u8, stream.device());
  auto* sums = reinterpret_cast<double*>(memory.bytes());
  for_activation(dy.dtype(), [&]<class T>(T) {
    launch(stream, "bias_grad", {division.tiles * division.slices, kThreads}, slices_kernel<T>, dy.device_data<T>(), division, sums,
           accumulate, dbias.device_data<float>());
  });
  if (direct) return;
  constexpr int kWarps = kThreads / kWarp;
  launch(stream, "bias_grad", {(K + kWarps - 1) / kWarps, kThreads}, columns_kernel, sums, division.slices, K, accumulate,
         dbias.device_data<float>());
}

}  // namespace gpucnn::kernels::cuda
