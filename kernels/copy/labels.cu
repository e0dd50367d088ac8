#include <limits>

#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/copy/twins.h>
#include <gpucnn/kernels/cuda/block_reduce.h>

namespace gpucnn::kernels::cuda {
namespace {

constexpr int kThreads = 1024, kWarps = kThreads / kWarp;  // one block
static_assert(kWarps == kWarp, "one warp reduces the results of all warps");
constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();

__device__ std::int64_t warp_min(std::int64_t value) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const std::int64_t other = __shfl_xor_sync(kAllLanes, value, distance);
    if (other < value) value = other;
  }
  return value;
}

/// Reports the first label outside to the next call that waits, unless a report is pending.
template <class T>
__device__ void report(const T* labels, std::int64_t index, std::int64_t classes, gpu::Misuse* misuse) {
  volatile std::int64_t* raised = &misuse->raised;
  if (*raised != 0) return;
  misuse->label = static_cast<std::int64_t>(labels[index]);
  misuse->index = index;
  misuse->classes = classes;
  __threadfence_system();  // the host reads the rest once it sees `raised`
  *raised = 1;
}

template <class T>
__global__ void __launch_bounds__(kThreads) labels_kernel(const T* labels, std::int64_t N, std::int64_t classes, bool ignores,
                                                          std::int64_t ignored, std::int32_t* y, gpu::Misuse* misuse) {
  GPUCNN_SHARED(std::int64_t, firsts, kWarps);
  std::int64_t outside = kNone;
  for (std::int64_t n = threadIdx.x; n < N; n += kThreads) {
    const auto label = static_cast<std::int64_t>(labels[n]);
    const auto narrow = static_cast<std::int32_t>(label);
    const bool fits = classes == kAnyClass ? narrow == label : (label >= 0 && label < classes) || (ignores && label == ignored);
    if (!fits && n < outside) outside = n;
    y[n] = narrow == label ? narrow : -1;  // reported in any case
  }
  outside = warp_min(outside);
  if (threadIdx.x % kWarp == 0) firsts[threadIdx.x / kWarp] = outside;
  __syncthreads();
  if (threadIdx.x >= kWarp) return;
  outside = warp_min(firsts[threadIdx.x]);
  if (threadIdx.x == 0 && outside != kNone) report(labels, outside, classes, misuse);
}

template <class T>
void convert(const Tensor& labels, std::int64_t num_classes, std::optional<std::int32_t> ignored, Tensor& y, Stream& stream) {
  const std::int64_t N = labels.numel();
  launch(stream, "to_labels", {N > 0 ? 1 : 0, kThreads}, labels_kernel<T>, labels.device_data<T>(), N, num_classes,
         ignored.has_value(), ignored.value_or(0), y.device_data<std::int32_t>(), gpu::queue(stream.device()).misuse());
}

}  // namespace
}  // namespace gpucnn::kernels::cuda

namespace gpucnn::kernels {

void cuda::to_labels(const Tensor& labels, std::int64_t num_classes, std::optional<std::int32_t> ignored, Tensor& y,
                     Stream& stream) {
  switch (labels.dtype()) {
    case DType::u8: return convert<std::uint8_t>(labels, num_classes, ignored, y, stream);
    case DType::i32: return convert<std::int32_t>(labels, num_classes, ignored, y, stream);
    default: return convert<std::int64_t>(labels, num_classes, ignored, y, stream);
  }
}

}  // namespace gpucnn::kernels
