#include <algorithm>

#include <gpucnn/kernels/cuda/slice_sums.h>
#include <gpucnn/kernels/linear/gemm_parts.h>
#include <gpucnn/kernels/linear/gemm_tile.h>
#include <gpucnn/kernels/linear/linear_slices.h>

// x weight^T, split along in_features. A block computes 64 rows by 64 outputs of one slice. SimpleCNN's first linear layer has only
// four such tiles with 128 images. Their 2048 features would make four blocks wait for memory most of the time.
namespace gpucnn::kernels::cuda {
namespace {

/// A block's number fits an int: more tiles than that are in no GPU's memory.
struct ForwardWork {
  std::int64_t N, in, out;
  gemm::Parts slices;    // of in_features
  int tiles_out, tiles;  // of the outputs, and in all

  __host__ __device__ std::int64_t blocks() const { return tiles * slices.count; }
};

ForwardWork forward_work(std::int64_t N, std::int64_t in, std::int64_t out) {
  constexpr std::int64_t kMaxBytes = 64 << 20;
  const int tiles_out = gemm::tiles_of(out), tiles = gemm::tiles_of(N) * tiles_out;
  const std::int64_t sums = N * out, most = std::min(in / gemm::kMinSlice, kMaxBytes / 4 / sums);
  const std::int64_t least = min_slices(in, gemm::kMaxInSum, {sums, sums});
  return {N, in, out, gemm::parts_of(in, std::max(std::min(gemm::kFillingBlocks / tiles, most), least)), tiles_out, tiles};
}

template <class Arithmetic, bool kWide, class T>
__global__ void __launch_bounds__(gemm::kBlockThreads, 3)
    forward_kernel(const T* x, const float* weight, float* sums, ForwardWork work) {
  GPUCNN_SHARED(gemm::Chunk, memory, gemm::kSharedChunks);
  const gemm::Factor<T, false> a{x, work.N, work.in};
  const gemm::Factor<float, false> b{weight, work.out, work.in};
  for (std::int64_t block = blockIdx.x; block < work.blocks(); block += gridDim.x) {
    const int tile = static_cast<int>(block) % work.tiles, slice = static_cast<int>(block) / work.tiles;
    const std::int64_t row = gemm::tile_first(tile / work.tiles_out), column = gemm::tile_first(tile % work.tiles_out);
    const std::int64_t k = slice * work.slices.length, k_end = std::min(k + work.slices.length, work.in);
    typename Arithmetic::Sums products = {};
    gemm::add_products<Arithmetic, kWide>(a, b, row, column, k, k_end, memory, products);
    gemm::put_tile<Arithmetic>(products, row, column, work.N, work.out, sums + slice * work.N * work.out);
  }
}

}  // namespace

std::int64_t linear_forward_slices(std::int64_t N, std::int64_t in_features, std::int64_t out_features) {
  return forward_work(N, in_features, out_features).slices.count;
}

void linear_forward_slices(const Tensor& x, const Tensor& weight, Precision precision, Tensor& sums, Stream& stream) {
  const ForwardWork work = forward_work(x.dim(0), x.dim(1), weight.dim(0));
  gemm::for_precision(precision, [&]<class Arithmetic, class T>(Arithmetic, T) {
    const T* const rows = x.device_data<T>();
    const float* const weights = weight.device_data<float>();
    const bool wide = gemm::has_whole_chunks<Arithmetic>(rows, work.in) && gemm::has_whole_chunks<Arithmetic>(weights, work.in);
    launch(stream, "linear_forward_slices", {work.blocks(), gemm::kBlockThreads},
           wide ? forward_kernel<Arithmetic, true, T> : forward_kernel<Arithmetic, false, T>, rows, weights,
           sums.device_data<float>(), work);
  });
}

}  // namespace gpucnn::kernels::cuda
