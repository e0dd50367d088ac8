#pragma once

#include <gpucnn/core/device.h>
#include <gpucnn/core/export.h>

namespace gpucnn {

/// Where work is queued, in order: a device and what its libraries need. On the CPU work is done before a call returns.
/// One thread at a time.
class GPUCNN_API Stream {
 public:
  /// Throws `DeviceError` if the device cannot be used.
  explicit Stream(Device device = {});
  ~Stream();
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&&) noexcept = default;

  Device device() const noexcept { return device_; }

  /// Waits until all work queued so far is done.
  void synchronize();

 private:
  Device device_;
};

}  // namespace gpucnn
