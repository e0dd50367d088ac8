#include <gpucnn/train/captured/epoch_order.h>

#include <algorithm>
#include <utility>

#include <gpucnn/core/gpu/queue.h>

namespace gpucnn {

std::span<std::int64_t> EpochOrder::memory(std::size_t count) {
  if (!on_device_.defined()) {
    Tensor there = Tensor::empty({count}, DType::i64, device_);
    const gpu::StreamInUse current = gpu::queue(device_).stream();  // whose GPU is current meanwhile
    void* host = nullptr;
    gpu::check(cudaHostAlloc(&host, std::max<std::size_t>(count, 1) * sizeof(std::int64_t), cudaHostAllocDefault), "cudaHostAlloc");
    pinned_.reset(static_cast<std::int64_t*>(host));
    on_device_ = std::move(there);
  }
  return {pinned_.get(), count};
}

void EpochOrder::upload() {
  const gpu::StreamInUse stream = gpu::queue(device_).stream();
  gpu::check(cudaMemcpyAsync(on_device_.bytes(), pinned_.get(), on_device_.nbytes(), cudaMemcpyHostToDevice, stream),
             "cudaMemcpyAsync");
}

}  // namespace gpucnn
