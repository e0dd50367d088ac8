#pragma once

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/core/device.h>
#include <gpucnn/core/gpu/step_state.h>

/// What the CUDA side of the library knows of a GPU. In builds with CUDA only; no public header includes it.
namespace gpucnn::gpu {

inline constexpr std::int64_t kMaxBlocks = 2'147'483'647;

/// Throws `DeviceError` that names the call unless it succeeded.
void check(cudaError_t status, const char* call);

/// While one lives, the calling thread's CUDA calls mean this GPU; then the GPU is current again that was before. Nothing is
/// remembered between two calls of the library, because the application may choose another GPU there. All of the library goes
/// through here.
class CurrentGpu {
 public:
  /// `status` says whether it worked; if not, nothing has changed.
  explicit CurrentGpu(int index) noexcept;
  ~CurrentGpu();
  CurrentGpu(const CurrentGpu&) = delete;
  CurrentGpu& operator=(const CurrentGpu&) = delete;

  cudaError_t status() const noexcept { return status_; }

 private:
  int before_ = -1;  // what comes back; negative if that GPU was current already
  cudaError_t status_;
};

/// A CUDA stream for the calls that queue work there: its GPU is the current one as long as this lives.
class [[nodiscard]] StreamInUse {
 public:
  /// Throws `DeviceError` if the GPU does not become current.
  StreamInUse(int index, cudaStream_t stream) : current_(index), stream_(stream) { check(current_.status(), "cudaSetDevice"); }

  operator cudaStream_t() const noexcept { return stream_; }  // NOLINT: implicit

 private:
  CurrentGpu current_;
  cudaStream_t stream_;
};

/// A misuse that a kernel found: it lies in host memory that the device can write, and is thrown by the next call that waits.
struct Misuse {
  std::int64_t raised = 0;  ///< 1 once the rest is written; the first one stays
  std::int64_t label = 0, index = 0, classes = 0;
};

/// The queue of all work of one GPU, in order. Every tensor of the GPU is written and read in it. So memory can be used again as
/// soon as its last handle has gone. There is one queue for each GPU and process, made when the GPU is first used. While a thread
/// captures a step (see Capture), the work that this thread queues goes into the capture instead.
class Queue {
 public:
  int index() const noexcept { return index_; }
  int multiprocessors() const noexcept { return multiprocessors_; }
  /// As 90 for 9.0.
  int compute_capability() const noexcept { return compute_capability_; }
  /// The most shared memory that a block can have, if its launch asks for it.
  std::size_t max_shared_bytes() const noexcept { return max_shared_bytes_; }

  /// Where to queue work, with this GPU as the calling thread's current one until the end of the statement:
  /// `cudaMemsetAsync(memory, 0, bytes, queue.stream())`. A capture's own stream while this thread captures.
  StreamInUse stream() const { return {index_, current_stream()}; }
  /// The same stream for others to queue work in, who see to the current GPU themselves.
  cudaStream_t current_stream() const noexcept;

  /// The state of the step that this thread captures, in device memory; null when it captures nothing.
  const StepState* step_state() const noexcept;

  /// For kernels that check what the host cannot see: device pointer.
  Misuse* misuse() const noexcept { return misuse_on_device_; }

  /// Waits for all work queued. Throws what kernels found. Not while this thread captures: see `refuse_in_capture`.
  void synchronize();
  /// Throws `DeviceError` if the work has failed; does not wait.
  void poll();
  /// After a copy from pageable host memory: returns once that memory may be changed.
  void release_host_memory();
  /// Throws `std::logic_error`, and marks the capture, if this thread captures a step: what cannot be recorded says so first.
  void refuse_in_capture();
  /// Throws `std::invalid_argument` if a kernel found a misuse; does not wait.
  void throw_misuse();
  /// From now on every call that waits throws `DeviceError` with this sentence, for what is queued will not be right. Any thread
  /// may call it; the first sentence stays.
  void fail(const std::string& why);
  /// Throws what `fail` said; does not wait.
  void throw_failure() const;

  void after_launch(const char* name) const;

  /// If this thread captures: keeps `needed` as long as the graph. A vendor's plan must be kept so, because its kernels go with it.
  void keep_with_capture(std::shared_ptr<const void> needed);
  /// For a call that waits for the whole GPU, which fails while any of its streams captures. Waits until no other thread captures.
  /// Captures then wait as long as the result lives. Ask before locking anything that captures use.
  std::unique_lock<std::shared_mutex> between_captures();

 private:
  friend Queue& queue(Device device);
  friend class Capture;
  friend class Graph;
  explicit Queue(int index);

  /// A stream for a capture, which nobody else has. Streams are kept, since vendors' handles remember the last one they were given.
  cudaStream_t take_capture_stream();
  void give_back(cudaStream_t capture_stream) noexcept;

  int index_;
  int multiprocessors_ = 0, compute_capability_ = 0;
  std::size_t max_shared_bytes_ = 0;
  bool synchronous_;                // GPUCNN_CUDA_SYNC=1
  bool reads_host_memory_ = false;  // itself, pageable memory too: copies from there are not staged
  cudaStream_t stream_ = nullptr;
  std::shared_mutex captures_;  // shared by those under way
  std::mutex mutex_;            // for what follows
  std::vector<cudaStream_t> idle_capture_streams_;
  int capture_streams_ = 0;
  std::atomic<const std::string*> failure_{nullptr};
  Misuse* misuse_ = nullptr;
  Misuse* misuse_on_device_ = nullptr;
};

/// While one lives, the work that the calling thread queues for this GPU goes into `stream`, which is not the queue's. What it
/// needs must be ordered before it by events, and so must whatever needs it. One at a time.
class Beside {
 public:
  Beside(const Queue& queue, cudaStream_t stream) noexcept;
  ~Beside();
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;
};

/// The queue of this GPU. Throws `DeviceError` if the device is no usable GPU.
Queue& queue(Device device);

}  // namespace gpucnn::gpu
