#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>

#include <gpucnn/core/device.h>
#include <gpucnn/distributed/nccl/nccl.h>

namespace gpucnn {

class Distributed;
class NcclWatch;

/// How a rank's GPU reaches those of the others. In builds with CUDA only.
///
/// Its calls go into a CUDA stream of its own, so that sums go on beside what the GPU's queue computes. A call begins behind all
/// work that the queue had, and `join` makes the queue wait. So it is while a step is captured, too: then the graph holds the
/// calls. All ranks make the same calls in the same order, one thread at a time, whether captured or not.
class NcclCommunicator : public std::enable_shared_from_this<NcclCommunicator> {
 public:
  /// Waits until all ranks have come here. `id` is the same for all, and of nobody else. Throws `DeviceError` with NCCL's text.
  NcclCommunicator(Device device, const nccl::UniqueId& id, int rank, int ranks);
  ~NcclCommunicator();
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  Device device() const noexcept { return device_; }

  /// Makes `count` values of this GPU's memory the reduction of all ranks'.
  void begin_all_reduce(void* values, std::size_t count, nccl::DataType type, nccl::Operation operation);
  /// Makes `bytes` those of `root`.
  void begin_broadcast(void* bytes, std::size_t count, int root);
  /// In which the calls run, one behind the other: a kernel that is queued there (gpu::Beside) runs behind those that were begun.
  cudaStream_t stream() const noexcept { return stream_; }
  /// What is queued from now on waits for all that was begun.
  void join();

  /// The sum of all ranks' f32 values, each rank's times a factor of its own, f32 in this GPU's memory, as it is when a call runs.
  /// The factor stays where it is as long as this.
  nccl::Operation sum_of_products(float* factor);

 private:
  void fork();

  Device device_;
  nccl::Handle* handle_ = nullptr;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t behind_queue_ = nullptr, behind_calls_ = nullptr;
  std::unique_ptr<NcclWatch> watch_;
};

/// That of a run, whose tensors lie on `device` on this rank. It is made at the first call, which all ranks make together. Throws
/// `DeviceError`, on every rank, if one has no NCCL or cannot use its GPU.
std::shared_ptr<NcclCommunicator> nccl_communicator(const Distributed& distributed, Device device);

}  // namespace gpucnn
