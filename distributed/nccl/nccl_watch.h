#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <gpucnn/core/device.h>
#include <gpucnn/distributed/nccl/nccl.h>

namespace gpucnn {

/// A thread that asks NCCL whether the other ranks are still there: a call whose partner has gone would wait on the GPU for ever.
/// It then ends what waits, and every call that waits for the GPU throws. In builds with CUDA only.
class NcclWatch {
 public:
  NcclWatch(Device device, nccl::Handle* handle) : device_(device), handle_(handle), thread_([this] { run(); }) {}
  ~NcclWatch();
  NcclWatch(const NcclWatch&) = delete;
  NcclWatch& operator=(const NcclWatch&) = delete;

  /// Whether it has ended all.
  bool has_failed() const noexcept { return failed_; }

 private:
  void run();

  Device device_;
  nccl::Handle* handle_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ends_ = false;
  std::atomic<bool> failed_{false};
  std::thread thread_;
};

}  // namespace gpucnn
