#pragma once

#include <gpucnn/core/device.h>
#include <gpucnn/core/export.h>

namespace gpucnn {

/// Where work is queued, in order. On the CPU work is done before a call returns. On a GPU it is done later: all streams of one GPU
/// are the same queue, so that whatever is queued sees the results of what was queued before it.
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

  /// For kernels of one's own: the CUDA stream (`cudaStream_t`) in which the calling thread queues work for the device now; null on
  /// the CPU, where there is no queue. What is queued there is in order with the library's work. While a Trainer records a step it
  /// is the recording's stream, so ask before each launch, and let nothing wait for it: a layer that waits is run call by call. The
  /// launch wants the stream's GPU to be the current one, which the library neither sets nor changes:
  /// `cudaSetDevice(device().index)`. The stream is the library's: it must not be destroyed or captured.
  void* native_handle() const;

 private:
  Device device_;
};

}  // namespace gpucnn
