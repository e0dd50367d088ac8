#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/loss/softmax_warp.h>
#include <gpucnn/kernels/loss/twins.h>

namespace gpucnn::kernels::cuda {
namespace {

/// Up to here each block counts the labels itself, which costs less than another launch.
constexpr std::int64_t kMaxCountedByEach = 2048;

/// In every thread of a block how many labels are not `ignored`.
__device__ std::int64_t count_labels(const std::int32_t* labels, std::int64_t N, std::int32_t ignored) {
  GPUCNN_SHARED(std::int64_t, everywhere, 1);
  std::int64_t count = 0;
  for (std::int64_t n = threadIdx.x; n < N; n += kThreads) count += labels[n] != ignored;
  count = block_sum<kThreads>(count);
  if (threadIdx.x == 0) *everywhere = count;
  __syncthreads();
  return *everywhere;
}

__global__ void __launch_bounds__(kThreads)
    count_kernel(const std::int32_t* labels, std::int64_t N, std::int32_t ignored, std::int64_t* counted) {
  const std::int64_t count = count_labels(labels, N, ignored);
  if (threadIdx.x == 0) *counted = count;
}

/// The loss of one row, in every lane of its group; its part of dlogits to `dx` unless that is null. `inside`: whether there is
/// such a row.
template <class Row>
__device__ float row_loss(const float* x, std::int32_t label, float* dx, std::int64_t C, float counted, std::int32_t ignored,
                          bool inside, bool wide) {
  const bool counts = inside && label != ignored && label >= 0 && label < C;
  const float chosen = counts ? x[label] : 0.0F;
  Row row(x, inside ? C : 0, wide);
  __syncwarp();  // every lane has read what it needs before one writes dx, which may be x
  // Apart from the label's, because a good prediction leaves little of softmax - 1: just the others.
  if (counts) row.leave_out(label);
  const float others = row.sum(), own = exp_below(chosen, row.largest()), scale = 1 / ((others + own) * counted);
  if (!counts) {
    const float none = label == ignored ? 0.0F : std::numeric_limits<float>::quiet_NaN();
    const std::int64_t end = dx && inside ? C : 0;
    GPUCNN_NO_UNROLL
    for (std::int64_t c = threadIdx.x % Row::kLanes; c < end; c += Row::kLanes) dx[c] = none;
    return none;
  }
  if (dx) {
    row.write(scale, dx, wide);
    if (row.owns(label)) dx[label] = -others * scale;
  }
  // log(sum) + largest - chosen: as the largest adds 1 to the sum, no two terms cancel.
  return log1pf(others + (own - 1)) + (row.largest() - chosen);
}

/// sums[g] = the losses of the rows that a block has at once: the g-th so many. *counted is how many rows count: read where N is
/// beyond kMaxCountedByEach, else written.
template <class Row>
__global__ void __launch_bounds__(kThreads)
    loss_kernel(const float* x, const std::int32_t* labels, std::int32_t ignored, float* dx, double* sums, std::int64_t* counted,
                std::int64_t N, std::int64_t C, bool wide) {
  constexpr int kRows = kRowsOfBlock<Row>;
  const std::int64_t count = N > kMaxCountedByEach ? *counted : count_labels(labels, N, ignored);
  if (N <= kMaxCountedByEach && blockIdx.x == 0 && threadIdx.x == 0) *counted = count;
  const std::int64_t groups = (N + kRows - 1) / kRows;
  for (std::int64_t g = blockIdx.x; g < groups; g += gridDim.x) {
    const std::int64_t n = g * kRows + threadIdx.x / Row::kLanes;
    const std::int32_t label = n < N ? labels[n] : ignored;
    const float loss =
        row_loss<Row>(x + n * C, label, dx ? dx + n * C : nullptr, C, static_cast<float>(count), ignored, n < N, wide);
    const double sum = block_sum<kThreads>(threadIdx.x % Row::kLanes == 0 ? static_cast<double>(loss) : 0.0);
    if (threadIdx.x == 0) sums[g] = sum;
  }
}

__global__ void __launch_bounds__(kThreads)
    mean_kernel(const double* sums, std::int64_t groups, float* loss, const std::int64_t* counted) {
  double sum = 0;
  for (std::int64_t g = threadIdx.x; g < groups; g += kThreads) sum += sums[g];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *loss = static_cast<float>(sum / static_cast<double>(*counted));
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::softmax_cross_entropy(const Tensor& logits, const Tensor& labels, std::int32_t ignore_index, Tensor& loss,
                                 Tensor& dlogits, Stream& stream) {
  const std::int64_t N = logits.dim(0), C = logits.dim(1);
  const float* x = logits.device_data<float>();
  const auto* classes = labels.device_data<std::int32_t>();
  float* dx = dlogits.defined() ? dlogits.device_data<float>() : nullptr;
  for_row<float>(C, [&]<class Row>(std::type_identity<Row>) {
    constexpr int kRows = kRowsOfBlock<Row>;
    const std::int64_t groups = (N + kRows - 1) / kRows;
    Tensor memory = Tensor::empty({(groups + 1) * std::int64_t{sizeof(double)}}, DType::u8, stream.device());
    auto* counted = reinterpret_cast<std::int64_t*>(memory.bytes());
    auto* sums = reinterpret_cast<double*>(memory.bytes()) + 1;
    if (N == 0 || N > kMaxCountedByEach) {
      launch(stream, "softmax_cross_entropy", {1, kThreads}, count_kernel, classes, N, ignore_index, counted);
    }
    launch(stream, "softmax_cross_entropy", {groups, kThreads}, loss_kernel<Row>, x, classes, ignore_index, dx, sums, counted, N, C,
           C % 4 == 0 && are_aligned<4>(x, dx));
    launch(stream, "softmax_cross_entropy", {1, kThreads}, mean_kernel, sums, groups, loss.device_data<float>(), counted);
  });
}

}  // namespace gpucnn::kernels
