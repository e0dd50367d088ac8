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
  ~Stream();
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept = default;

  Device device() const noexcept { return device_; }

  /// Waits until all work queued so far is done. Throws what could only be found while it was done: `DeviceError`, or
  /// `std::invalid_argument` for a label outside its bounds.
  void synchronize();

 private:
  Device device_;
};

}  // namespace gpucnn
