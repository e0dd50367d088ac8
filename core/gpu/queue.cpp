#include <gpucnn/core/gpu/queue.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <nvtx3/nvToolsExt.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/gpu_probe.h>

namespace gpucnn::gpu {
namespace {

/// What this thread captures.
thread_local Capture* capture = nullptr;

bool asks_for_waiting() {
  const char* value = std::getenv("GPUCNN_CUDA_SYNC");
  return value && std::string_view(value) == "1";
}

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
  throw DeviceError(fmt::format("{} failed: {} ({})", call, cudaGetErrorString(status), cudaGetErrorName(status)));
}

// ---- the queue -------------------------------------------------------------------------------------------------------

Queue& queue(Device device) {
  constexpr std::size_t kMostGpus = 64;
  static std::mutex& mutex = *new std::mutex;
  static std::array<std::atomic<Queue*>, kMostGpus> queues{};
  const auto index = static_cast<std::size_t>(device.index);
  if (device.kind != Device::Kind::cuda || index >= kMostGpus) {
    throw DeviceError(fmt::format("device {} has no queue", device.string()));
  }
  if (Queue* made = queues[index].load(std::memory_order_acquire)) return *made;
  device.require();
  const std::scoped_lock lock(mutex);
  if (Queue* made = queues[index].load(std::memory_order_relaxed)) return *made;
  auto* made = new Queue(device.index);  // never destroyed: tensors of static lifetime may outlive every other object
  queues[index].store(made, std::memory_order_release);
  return *made;
}

Queue::Queue(int index) : index_(index), synchronous_(asks_for_waiting()) {
  const CurrentGpu current(index);
  check(current.status(), "cudaSetDevice");
  check(cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, index), "cudaDeviceGetAttribute");
  int reads_host_memory = 0;
  check(cudaDeviceGetAttribute(&reads_host_memory, cudaDevAttrPageableMemoryAccess, index), "cudaDeviceGetAttribute");
  reads_host_memory_ = reads_host_memory != 0;
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  void* host = nullptr;
  void* device = nullptr;
  check(cudaHostAlloc(&host, sizeof(Misuse), cudaHostAllocMapped | cudaHostAllocPortable), "cudaHostAlloc");
  misuse_ = new (host) Misuse;
  check(cudaHostGetDevicePointer(&device, host, 0), "cudaHostGetDevicePointer");
  misuse_on_device_ = static_cast<Misuse*>(device);
}

cudaStream_t Queue::current_stream() const noexcept { return capture && &capture->queue_ == this ? capture->stream_ : stream_; }

const StepClock* Queue::clock() const noexcept { return capture && &capture->queue_ == this ? capture->clock_ : nullptr; }

void Queue::synchronize() {
  refuse_in_capture();
  check(cudaStreamSynchronize(stream()), "waiting for the GPU");
  throw_misuse();
}

void Queue::poll() {
  const cudaError_t status = cudaStreamQuery(stream_);
  if (status != cudaErrorNotReady) check(status, "the GPU's work");
}

void Queue::release_host_memory() {
  if (reads_host_memory_) check(cudaStreamSynchronize(stream_), "waiting for a copy to the GPU");
}

void Queue::refuse_in_capture() {
  if (!capture || &capture->queue_ != this) return;
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
  throw std::invalid_argument(
      fmt::format("to_labels: label {} at index {} is outside [0, {})", found.label, found.index, found.classes));
}

void Queue::after_launch(const char* name) const {
  if (synchronous_ && !clock()) check(cudaStreamSynchronize(stream()), name);
}

// ---- capture ---------------------------------------------------------------------------------------------------------

void Queue::keep_with_capture(std::shared_ptr<const void> needed) {
  if (capture && &capture->queue_ == this) capture->needed_.push_back(std::move(needed));
}

std::unique_lock<std::shared_mutex> Queue::between_captures() {
  if (capture && &capture->queue_ == this) return {};  // it would wait for itself
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

Capture::Capture(Device device, const StepClock* clock) : queue_(queue(device)), clock_(clock) {
  if (capture) throw std::logic_error("a step is being captured already");
  const CurrentGpu current(queue_.index_);
  check(current.status(), "cudaSetDevice");
  lock_ = std::shared_lock(queue_.captures_);
  stream_ = queue_.take_capture_stream();
  // Relaxed: a block of memory that is missing may still be asked for, here and by other threads.
  const cudaError_t status = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed);
  if (status != cudaSuccess) queue_.give_back(stream_);
  check(status, "cudaStreamBeginCapture");
  open_ = true;
  capture = this;
}

Capture::~Capture() {
  if (open_) {
    const CurrentGpu current(queue_.index_);
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(stream_, &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
  }
  capture = nullptr;
  queue_.give_back(stream_);
}

std::unique_ptr<Graph> Capture::finish() {
  const CurrentGpu current(queue_.index_);
  check(current.status(), "cudaSetDevice");
  auto made = std::make_unique<Graph>(queue_, std::move(needed_));
  cudaGraph_t graph = nullptr;
  open_ = false;
  check(cudaStreamEndCapture(stream_, &graph), "cudaStreamEndCapture");
  const cudaError_t status = cudaGraphInstantiate(&made->graph_, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "cudaGraphInstantiate");
  return made;
}

Graph::~Graph() {
  if (!graph_) return;
  const CurrentGpu current(queue_.index_);
  cudaStreamSynchronize(queue_.stream_);
  cudaGraphExecDestroy(graph_);
}

void Graph::launch() const { check(cudaGraphLaunch(graph_, queue_.stream()), "cudaGraphLaunch"); }

// ---- profiling -------------------------------------------------------------------------------------------------------

Range::Range(const char* name) { nvtxRangePushA(name); }

Range::~Range() { nvtxRangePop(); }

}  // namespace gpucnn::gpu
