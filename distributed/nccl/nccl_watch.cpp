#include <gpucnn/distributed/nccl/nccl_watch.h>

#include <chrono>

#include <gpucnn/core/gpu/queue.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn {
namespace {

constexpr std::chrono::milliseconds kPause{200};

}  // namespace

NcclWatch::~NcclWatch() {
  {
    const std::scoped_lock lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void NcclWatch::run() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kPause, [this] { return ends_; })) {
    nccl::Result error = nccl::Result::success;
    const nccl::Result asked = nccl::functions().comm_get_async_error(handle_, &error);
    if (asked != nccl::Result::success) error = asked;
    if (error == nccl::Result::success || error == nccl::Result::in_progress) continue;
    gpu::queue(device_).fail(formatted("NCCL on {} has failed: {}", device_.string(), nccl::text_of(error, handle_)));
    failed_ = true;
    const gpu::CurrentGpu current(device_.index);
    nccl::functions().comm_abort(handle_);
    return;
  }
}

}  // namespace gpucnn
