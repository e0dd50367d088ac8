#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <gpucnn/core/device.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// An epoch's order in a GPU's memory, always at one address, for recorded steps. It comes from pinned host memory, so that the
/// host need not wait while it is copied.
class EpochOrder {
 public:
  explicit EpochOrder(Device device) : device_(device) {}

  bool defined() const noexcept { return on_device_.defined(); }
  /// i64 [L].
  const Tensor& on_device() const noexcept { return on_device_; }

  /// Pinned memory for the next order of `count` numbers, the same number in every epoch. REQUIRES: the work behind the last
  /// `upload` is done, or none was queued.
  std::span<std::int64_t> memory(std::size_t count);
  /// Queues the copy of `memory`.
  void upload();

 private:
  struct Free {
    void operator()(std::int64_t* pinned) const noexcept { cudaFreeHost(pinned); }
  };

  Device device_;
  Tensor on_device_;
  std::unique_ptr<std::int64_t[], Free> pinned_;
};

}  // namespace gpucnn
