#include <gpucnn/core/gpu/queue.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/gpu_probe.h>
#include <gpucnn/core/gpu/graph_capture.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn::gpu {
namespace {

bool is_synchronous() {
  const char* value = std::getenv("GPUCNN_CUDA_SYNC");
  return value && std::string_view(value) == "1";
}

/// What Beside says.
struct Diversion {
  const Queue* queue = nullptr;
  cudaStream_t stream = nullptr;
};
thread_local Diversion diversion;

}  // namespace

CurrentGpu::CurrentGpu(int index) noexcept {
  int before = 0;
  status_ = cudaGetDevice(&before);
  if (status_ != cudaSuccess || before == index) return;
  status_ = cudaSetDevice(index);
  if (status_ == cudaSuccess) before_ = before;
}

CurrentGpu::~CurrentGpu() {
  if (before_ >= 0) cudaSetDevice(before_);
}

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  throw DeviceError(formatted("{} failed: {} ({})", call, cudaGetErrorString(status), cudaGetErrorName(status)));
}

// ---- the queue -------------------------------------------------------------------------------------------------------

Queue& queue(Device device) {
  constexpr std::size_t kMaxGpus = backend::kMaxGpus;
  static std::mutex& mutex = *new std::mutex;
  static std::array<std::atomic<Queue*>, kMaxGpus> queues{};
  const auto index = static_cast<std::size_t>(device.index);
  if (device.kind != Device::Kind::cuda || index >= kMaxGpus) {
    throw DeviceError(formatted("device {} has no queue", device.string()));
  }
  if (Queue* made = queues[index].load(std::memory_order_acquire)) return *made;
  device.require();
  const std::scoped_lock lock(mutex);
  if (Queue* made = queues[index].load(std::memory_order_relaxed)) return *made;
  auto* made = new Queue(device.index);  // never destroyed: tensors of static lifetime may outlive every other object
  queues[index].store(made, std::memory_order_release);
  return *made;
}

Queue::Queue(int index) : index_(index), synchronous_(is_synchronous()) {
  const CurrentGpu current(index);
  check(current.status(), "cudaSetDevice");
  const auto attribute = [index](cudaDeviceAttr which) {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, which, index), "cudaDeviceGetAttribute");
    return value;
  };
  multiprocessors_ = attribute(cudaDevAttrMultiProcessorCount);
  compute_capability_ = 10 * attribute(cudaDevAttrComputeCapabilityMajor) + attribute(cudaDevAttrComputeCapabilityMinor);
  max_shared_bytes_ = static_cast<std::size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
  reads_host_memory_ = attribute(cudaDevAttrPageableMemoryAccess) != 0;
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  void* host = nullptr;
  void* device = nullptr;
  check(cudaHostAlloc(&host, sizeof(Misuse), cudaHostAllocMapped | cudaHostAllocPortable), "cudaHostAlloc");
  misuse_ = new (host) Misuse;
  check(cudaHostGetDevicePointer(&device, host, 0), "cudaHostGetDevicePointer");
  misuse_on_device_ = static_cast<Misuse*>(device);
}

Beside::Beside(const Queue& queue, cudaStream_t stream) noexcept { diversion = {&queue, stream}; }
Beside::~Beside() { diversion = {}; }

cudaStream_t Queue::current_stream() const noexcept {
  if (diversion.queue == this) return diversion.stream;
  const Capture* capture = Capture::into(*this);
  return capture ? capture->stream_ : stream_;
}

const StepState* Queue::step_state() const noexcept {
  const Capture* capture = Capture::into(*this);
  return capture ? capture->state_ : nullptr;
}

void Queue::synchronize() {
  refuse_in_capture();
  check(cudaStreamSynchronize(stream()), "waiting for the GPU");
  throw_failure();
  throw_misuse();
}

void Queue::fail(const std::string& why) {
  const std::string* none = nullptr;
  const auto* sentence = new std::string(why);  // for good: any thread may be reading it
  if (!failure_.compare_exchange_strong(none, sentence, std::memory_order_acq_rel)) delete sentence;
}

void Queue::throw_failure() const {
  if (const std::string* why = failure_.load(std::memory_order_acquire)) throw DeviceError(*why);
}

void Queue::poll() {
  throw_failure();
  const cudaError_t status = cudaStreamQuery(stream_);
  if (status != cudaErrorNotReady) check(status, "the GPU's work");
}

void Queue::release_host_memory() {
  if (reads_host_memory_) check(cudaStreamSynchronize(stream_), "waiting for a copy to the GPU");
}

void Queue::refuse_in_capture() {
  Capture* capture = Capture::into(*this);
  if (!capture) return;
  capture->refused_ = true;
  throw std::logic_error("a step that is captured cannot exchange data with the host");
}

void Queue::throw_misuse() {
  // The kernel writes `raised` last; a stale 0 is read again by the next call.
  if (std::atomic_ref(misuse_->raised).load(std::memory_order_acquire) == 0) return;
  const std::scoped_lock lock(mutex_);
  const std::atomic_ref raised(misuse_->raised);
  if (raised.load(std::memory_order_acquire) == 0) return;  // another thread has thrown it
  const Misuse found = *misuse_;
  raised.store(0, std::memory_order_release);
  if (found.classes < 0) {
    throw std::invalid_argument(formatted("to_i32: label {} at index {} is not an i32", found.label, found.index));
  }
  throw std::invalid_argument(
      formatted("to_labels: label {} at index {} is outside [0, {})", found.label, found.index, found.classes));
}

void Queue::after_launch(const char* name) const {
  if (synchronous_ && !step_state()) check(cudaStreamSynchronize(stream()), name);
}

// ---- capture ---------------------------------------------------------------------------------------------------------

void Queue::keep_with_capture(std::shared_ptr<const void> needed) {
  if (Capture* capture = Capture::into(*this)) capture->needed_.push_back(std::move(needed));
}

std::unique_lock<std::shared_mutex> Queue::between_captures() {
  if (Capture::into(*this)) return {};  // it would wait for itself
  return std::unique_lock(captures_);
}

cudaStream_t Queue::take_capture_stream() {
  const std::scoped_lock lock(mutex_);
  if (idle_capture_streams_.empty()) {
    idle_capture_streams_.reserve(static_cast<std::size_t>(capture_streams_) + 1);  // for all, so that give_back cannot fail
    cudaStream_t made = nullptr;
    check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    ++capture_streams_;
    return made;
  }
  cudaStream_t stream = idle_capture_streams_.back();
  idle_capture_streams_.pop_back();
  return stream;
}

void Queue::give_back(cudaStream_t capture_stream) noexcept {
  const std::scoped_lock lock(mutex_);
  idle_capture_streams_.push_back(capture_stream);
}

}  // namespace gpucnn::gpu
