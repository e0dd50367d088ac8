#include <gpucnn/kernels/cuda/slice_sums.h>
#include <gpucnn/kernels/linear/gemm_tile.h>
#include <gpucnn/kernels/linear/linear_slices.h>

// x weight^T, split along in_features. A block computes 64 rows by 64 outputs of one slice: of SimpleCNN's first linear layer with
// 128 images there are only four such tiles, and 2048 features would make them wait for memory most of the time.
namespace gpucnn::kernels::cuda {
namespace {

struct ForwardWork {
  std::int64_t N, in, out;
  std::int64_t tiles_n, tiles;  // of outputs, and in all
  gemm::Parts slices;

  __host__ __device__ std::int64_t blocks() const { return tiles * slices.count; }
};

/// `out_features` tiles are neighbours: they share rows of x.
ForwardWork forward_work(std::int64_t N, std::int64_t in, std::int64_t out) {
  constexpr std::int64_t kMaxBytes = 64 << 20;
  const std::int64_t tiles_n = gemm::ceil_div(out, gemm::kTile), tiles = gemm::ceil_div(N, gemm::kTile) * tiles_n;
  const std::int64_t sums = N * out, most = std::min(in / gemm::kMinSlice, kMaxBytes / 4 / sums);
  const std::int64_t least = min_slices(in, gemm::kMaxInSum, {sums, sums});
  return {N, in, out, tiles_n, tiles, gemm::parts_of(in, std::max(std::min(gemm::kFillingBlocks / tiles, most), least))};
}

template <class Arithmetic, class T>
__global__ void __launch_bounds__(gemm::kBlockThreads)
    forward_kernel(const T* x, const float* weight, float* sums, ForwardWork work) {
  GPUCNN_SHARED(gemm::Chunk, memory, gemm::kSharedChunks);
  const gemm::Factor<T, false> a{x, work.N, work.in};
  const gemm::Factor<float, false> b{weight, work.out, work.in};
  for (std::int64_t block = blockIdx.x; block < work.blocks(); block += gridDim.x) {
    const std::int64_t tile = block % work.tiles, slice = block / work.tiles;
    const std::int64_t row = tile / work.tiles_n * gemm::kTile, column = tile % work.tiles_n * gemm::kTile;
    const std::int64_t k = slice * work.slices.length, k_end = std::min(k + work.slices.length, work.in);
    typename Arithmetic::Sums products = {};
    gemm::add_products<Arithmetic>(a, b, row, column, k, k_end, memory, products);
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
    launch(stream, "linear_forward_slices", {work.blocks(), gemm::kBlockThreads}, forward_kernel<Arithmetic, T>, x.device_data<T>(),
           weight.device_data<float>(), sums.device_data<float>(), work);
  });
}

}  // namespace gpucnn::kernels::cuda
