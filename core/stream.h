#pragma once

#include <gpucnn/core/device.h>
#include <gpucnn/core/export.h>

namespace gpucnn {

/// Where work is queued, in order. On the CPU work is done before a call returns, on a GPU later. All streams of one GPU are the
/// same queue, so that work sees the results of all work that was queued before it.
class GPUCNN_API Stream {
 public:
  /// Throws `DeviceError` if the device cannot be used.
  explicit Stream(Device device = {});
  ~Stream() = default;
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept = default;

  Device device() const noexcept { return device_; }

  /// Waits until all work queued so far is done. Throws what could only be found while it was done: `DeviceError`, or
  /// `std::invalid_argument` for a label outside its bounds.
  void synchronize();

  /// For kernels of one's own: the CUDA stream (`cudaStream_t`) in which the calling thread queues work for the device now. Null on
  /// the CPU, which has no queue. Work that is queued there is in order with the library's.
  ///
  /// While a Trainer captures a step it is the capture's stream, so ask before each launch, and let nothing wait for it. A layer
  /// that waits makes the Trainer run steps call by call. Before a launch make the stream's GPU the current one,
  /// `cudaSetDevice(device().index)`: the library neither sets nor changes it. The stream must not be destroyed or captured.
  void* native_handle() const;

 private:
  Device device_;
};

}  // namespace gpucnn
