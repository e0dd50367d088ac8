#include <gpucnn/core/gpu.h>

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
#include <gpucnn/core/gpu_probe.h>

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

cudaStream_t Queue::current_stream() const noexcept {
  return capture && &capture->queue_ == this ? capture_stream_ : stream_;
}

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
  const Misuse found = std::exchange(*misuse_, Misuse{});
  throw std::invalid_argument(
      fmt::format("to_labels: label {} at index {} is outside [0, {})", found.label, found.index, found.classes));
}

void Queue::after_launch(const char* name) const {
  if (synchronous_ && !clock()) check(cudaStreamSynchronize(stream()), name);
}

// ---- capture ---------------------------------------------------------------------------------------------------------

Capture::Capture(Device device, const StepClock* clock) : queue_(queue(device)), clock_(clock) {
  if (capture) throw std::logic_error("a step is being captured already");
  const CurrentGpu current(queue_.index_);
  check(current.status(), "cudaSetDevice");
  if (!queue_.capture_stream_) {
    check(cudaStreamCreateWithFlags(&queue_.capture_stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  }
  // Relaxed: a block of memory that is missing may still be asked for.
  check(cudaStreamBeginCapture(queue_.capture_stream_, cudaStreamCaptureModeRelaxed), "cudaStreamBeginCapture");
  open_ = true;
  capture = this;
}

Capture::~Capture() {
  if (open_) {
    const CurrentGpu current(queue_.index_);
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(queue_.capture_stream_, &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
  }
  capture = nullptr;
}

cudaGraphExec_t Capture::finish() {
  const CurrentGpu current(queue_.index_);
  check(current.status(), "cudaSetDevice");
  cudaGraph_t graph = nullptr;
  open_ = false;
  check(cudaStreamEndCapture(queue_.capture_stream_, &graph), "cudaStreamEndCapture");
  cudaGraphExec_t made = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&made, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "cudaGraphInstantiate");
  return made;
}

// ---- profiling -------------------------------------------------------------------------------------------------------

Range::Range(const char* name) { nvtxRangePushA(name); }

Range::~Range() { nvtxRangePop(); }

}  // namespace gpucnn::gpu
