#include <algorithm>

#include <gpucnn/kernels/cuda/slice_sums.h>
#include <gpucnn/kernels/linear/gemm_parts.h>
#include <gpucnn/kernels/linear/gemm_tile.h>
#include <gpucnn/kernels/linear/linear_slices.h>

// dy^T x and dy weight in one kernel, because each alone leaves half of a large GPU idle at 128 images. The first blocks have the
// longest sums: each computes 64 x 64 elements of dweight over one slice of the batch. Then come those that add 64 columns of dy
// for dbias, over the same slices; then those that compute 64 x 64 elements of dx.
namespace gpucnn::kernels::cuda {
namespace {

/// A block's number fits an int: more tiles than that are in no GPU's memory.
struct BackwardWork {
  std::int64_t N, in, out;
  gemm::Parts slices;  // of the batch
  std::int64_t row;    // elements of a slice
  int tiles_out, tiles_in;
  int dweight_blocks, dbias_blocks, dx_blocks;

  __host__ __device__ std::int64_t blocks() const { return std::int64_t{dweight_blocks} + dbias_blocks + dx_blocks; }
};

BackwardWork backward_work(std::int64_t N, std::int64_t in, std::int64_t out, const gemm::Parts& slices, std::int64_t row,
                           bool dx) {
  const int tiles_out = gemm::tiles_of(out), tiles_in = gemm::tiles_of(in), count = static_cast<int>(slices.count);
  return {.N = N,
          .in = in,
          .out = out,
          .slices = slices,
          .row = row,
          .tiles_out = tiles_out,
          .tiles_in = tiles_in,
          .dweight_blocks = tiles_out * tiles_in * count,
          .dbias_blocks = row > out * in ? tiles_out * count : 0,
          .dx_blocks = dx ? gemm::tiles_of(N) * tiles_in : 0};
}

gemm::Parts batch_slices(std::int64_t N, std::int64_t in, std::int64_t out) {
  constexpr std::int64_t kMaxSlices = 4;
  const int tiles = gemm::tiles_of(out) * gemm::tiles_of(in);
  const std::int64_t most = std::min(kMaxSlices, N / gemm::kMinSlice);
  const std::int64_t least = min_slices(N, gemm::kMaxInSum, {out * in, out * in + out});
  return gemm::parts_of(N, std::max(std::min(gemm::kFillingBlocks / tiles, most), least));
}

/// to[o] = the sum over the rows from `first` to `end` of dy[row][o], of 64 outputs from `o_first` on.
template <class T>
__device__ void add_rows(const T* dy, std::int64_t out, std::int64_t o_first, std::int64_t first, std::int64_t end, float* memory,
                         float* to) {
  constexpr int kFours = gemm::kTile / 4, kLines = gemm::kBlockThreads / kFours, kAtOnce = 4;
  const int four = static_cast<int>(threadIdx.x) % kFours, line = static_cast<int>(threadIdx.x) / kFours;
  const std::int64_t o = o_first + 4 * four, count = out - o;
  const bool wide = out % 4 == 0 && are_aligned<4>(dy);
  Lanes<float, 4> sum{};
  GPUCNN_NO_UNROLL
  for (std::int64_t n = first + line; n < end; n += kAtOnce * kLines) {
    Lanes<T, 4> values[kAtOnce];
    for (int i = 0; i < kAtOnce; ++i) {
      const T* const from = dy + ((n + i * kLines) * out + o);
      values[i] = {};
      if (n + i * kLines >= end) continue;
      if (wide && count > 0) {
        values[i] = load<4>(from);
      } else {
        for (int e = 0; e < 4; ++e) {
          if (e < count) values[i].at[e] = from[e];
        }
      }
    }
    for (int i = 0; i < kAtOnce; ++i) {
      for (int e = 0; e < 4; ++e) sum.at[e] += widen(values[i].at[e]);
    }
  }
  __syncthreads();  // before what others still read, of a tile before, is written over
  store(sum, memory + line * gemm::kTile + 4 * four);
  __syncthreads();
  const int own = static_cast<int>(threadIdx.x);
  if (own >= gemm::kTile || o_first + own >= out) return;
  float total = memory[own];
  for (int l = 1; l < kLines; ++l) total += memory[l * gemm::kTile + own];
  to[o_first + own] = total;
}

template <class Arithmetic, bool kWide, class T>
__global__ void __launch_bounds__(gemm::kBlockThreads, 3)
    backward_kernel(const T* x, const T* dy, const float* weight, float* slices, T* dx, BackwardWork work) {
  GPUCNN_SHARED(gemm::Chunk, memory, gemm::kSharedChunks);
  for (std::int64_t block = blockIdx.x; block < work.blocks(); block += gridDim.x) {
    int part = static_cast<int>(block);
    typename Arithmetic::Sums sums = {};
    if (part >= work.dweight_blocks + work.dbias_blocks) {
      part -= work.dweight_blocks + work.dbias_blocks;
      const std::int64_t n = gemm::tile_first(part / work.tiles_in), i = gemm::tile_first(part % work.tiles_in);
      gemm::add_products<Arithmetic, kWide>(gemm::Factor<T, false>{dy, work.N, work.out},
                                            gemm::Factor<float, true>{weight, work.out, work.in}, n, i, 0, work.out, memory, sums);
      gemm::put_tile<Arithmetic>(sums, n, i, work.N, work.in, dx);
      continue;
    }
    const bool dbias = part >= work.dweight_blocks;
    if (dbias) part -= work.dweight_blocks;
    const std::int64_t o = gemm::tile_first(part % work.tiles_out);
    part /= work.tiles_out;
    const int tiles_in = dbias ? 1 : work.tiles_in, slice = part / tiles_in;
    const std::int64_t first = slice * work.slices.length, end = std::min(first + work.slices.length, work.N);
    float* const to = slices + slice * work.row;
    if (dbias) {
      add_rows(dy, work.out, o, first, end, reinterpret_cast<float*>(memory), to + work.out * work.in);
      continue;
    }
    const std::int64_t i = gemm::tile_first(part % tiles_in);
    gemm::add_products<Arithmetic, kWide>(gemm::Factor<T, true>{dy, work.N, work.out}, gemm::Factor<T, true>{x, work.N, work.in}, o,
                                          i, first, end, memory, sums);
    gemm::put_tile<Arithmetic>(sums, o, i, work.out, work.in, to);
  }
}

}  // namespace

std::int64_t linear_backward_slices(std::int64_t N, std::int64_t in_features, std::int64_t out_features) {
  return batch_slices(N, in_features, out_features).count;
}

void linear_backward_slices(const Tensor& x, const Tensor& dy, const Tensor& weight, Precision precision, Tensor& slices,
                            Tensor& dx, Stream& stream) {
  const std::int64_t N = x.dim(0), in = x.dim(1), out = dy.dim(1);
  const BackwardWork work = backward_work(N, in, out, batch_slices(N, in, out), slices.dim(1), dx.defined());
  gemm::for_precision(precision, [&]<class Arithmetic, class T>(Arithmetic, T) {
    const T *const rows = x.device_data<T>(), *const gradients = dy.device_data<T>();
    const float* const weights = dx.defined() ? weight.device_data<float>() : nullptr;
    const bool wide = gemm::has_whole_chunks<Arithmetic>(rows, in) && gemm::has_whole_chunks<Arithmetic>(gradients, out) &&
                      gemm::has_whole_chunks<Arithmetic>(weights, in);
    launch(stream, "linear_backward_slices", {work.blocks(), gemm::kBlockThreads},
           wide ? backward_kernel<Arithmetic, true, T> : backward_kernel<Arithmetic, false, T>, rows, gradients, weights,
           slices.device_data<float>(), dx.defined() ? dx.device_data<T>() : nullptr, work);
  });
}

}  // namespace gpucnn::kernels::cuda
