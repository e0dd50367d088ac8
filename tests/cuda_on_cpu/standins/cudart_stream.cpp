#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "stream_state.h"

// Streams run late: only when somebody waits for them, or asks how they are.

namespace gpucnn::standin {
namespace {

constexpr int kPerQuery = 2;  // operations that a question after the stream's state lets run

// ---- operations ------------------------------------------------------------------------------------------------------

class Launch final : public Operation {
 public:
  explicit Launch(std::shared_ptr<emulator::Kernel> kernel) : kernel_(std::move(kernel)) {}
  void run(int gpu) override {
    kernel_->translate(gpu);
    emulator::run(*kernel_);
  }
  const char* name() const override { return kernel_->name; }

 private:
  std::shared_ptr<emulator::Kernel> kernel_;
};

class VendorCall final : public Operation {
 public:
  VendorCall(bool (*ready)(void*), void (*call)(void*), void (*destroy)(void*), void* argument)
      : ready_(ready), call_(call), destroy_(destroy), argument_(argument) {}
  ~VendorCall() override {
    if (destroy_) destroy_(argument_);
  }
  void run(int) override { call_(argument_); }
  bool is_ready() override { return !ready_ || ready_(argument_); }
  const char* name() const override { return "vendor"; }

 private:
  bool (*ready_)(void*);
  void (*call_)(void*);
  void (*destroy_)(void*);
  void* argument_;
};

/// A copy whose ends are each in device memory or on the host.
class Copy final : public Operation {
 public:
  Copy(void* to, const void* from, std::size_t bytes) : to_(to), from_(from), bytes_(bytes) {}
  /// Reads the source now, and not when the stream runs.
  void take_snapshot() {
    const auto* bytes = static_cast<const std::byte*>(from_);
    snapshot_.assign(bytes, bytes + bytes_);
    from_ = snapshot_.data();
  }
  void run(int) override { std::memcpy(address(to_), address(const_cast<void*>(from_)), bytes_); }
  const char* name() const override { return "copy"; }

 private:
  void* address(void* end) const { return is_device_pointer(end) ? host_address(end, bytes_, -1, "cudaMemcpyAsync") : end; }

  void* to_;
  const void* from_;
  std::size_t bytes_;
  std::vector<std::byte> snapshot_;
};

class Set final : public Operation {
 public:
  Set(void* to, int value, std::size_t bytes) : to_(to), value_(value), bytes_(bytes) {}
  void run(int gpu) override { std::memset(host_address(to_, bytes_, gpu, "cudaMemsetAsync"), value_, bytes_); }
  const char* name() const override { return "memset"; }

 private:
  void* to_;
  int value_;
  std::size_t bytes_;
};

void run_first(StandinStream& stream) {
  const std::shared_ptr<Operation> operation = std::move(stream.queue.front());
  stream.queue.pop_front();
  stream.is_running = true;
  operation->run(stream.gpu);
  stream.is_running = false;
}

cudaError_t enqueue(cudaStream_t handle, std::shared_ptr<Operation> operation) {
  const std::scoped_lock lock(mutex());
  return enqueue(stream_of(handle), std::move(operation));
}

}  // namespace

std::vector<StandinStream*>& streams() {
  static auto& all = *new std::vector<StandinStream*>;
  return all;
}

StandinStream& stream_of(cudaStream_t handle) {
  auto* stream = reinterpret_cast<StandinStream*>(handle);
  if (!stream) stop("the legacy default stream was used");
  if (std::find(streams().begin(), streams().end(), stream) == streams().end()) stop("a stream was used that does not exist");
  return *stream;
}

bool is_current(const StandinStream& stream) { return stream.gpu == current_gpu(); }

bool progress(StandinStream& stream) {
  if (stream.is_running || stream.queue.empty() || !stream.queue.front()->is_ready()) return false;
  run_first(stream);
  return true;
}

void run_one(StandinStream& stream) {
  if (settings().eager) {
    for (std::size_t i = 0; i < streams().size(); ++i) {
      StandinStream& other = *streams()[i];
      while (&other != &stream && other.gpu == stream.gpu && progress(other)) continue;
    }
  }
  if (!stream.queue.empty()) run_first(stream);  // another one may have run it
}

void run_all(StandinStream& stream) {
  while (!stream.queue.empty()) run_one(stream);
}

cudaError_t enqueue(StandinStream& stream, std::shared_ptr<Operation> operation) {
  Recording* const recording = stream.recording.get();
  if (!recording) {
    stream.queue.push_back(std::move(operation));
    return cudaSuccess;
  }
  if (recording->invalidated) return result(cudaErrorStreamCaptureInvalidated);
  Recording::Lane& lane = recording->lanes.at(&stream);
  lane.operations.push_back(std::move(operation));
  lane.seen[&stream] = lane.operations.size();
  return cudaSuccess;
}

cudaError_t enqueue_kernel(cudaStream_t handle, std::shared_ptr<emulator::Kernel> kernel) {
  const std::scoped_lock lock(mutex());
  if (kernel->threads < 1 || kernel->threads > emulator::kMaxThreads) return result(cudaErrorInvalidConfiguration);
  if (!is_current(stream_of(handle))) return result(cudaErrorInvalidResourceHandle);
  const std::size_t asked = dynamic_shared_asked(stream_of(handle).gpu, kernel->address());
  if (kernel->shared_bytes > std::max(asked, emulator::kMaxStaticShared)) return result(cudaErrorInvalidValue);
  kernel->compute_capability = settings().capability;
  if (asked > 0) kernel->max_shared_bytes = max_shared_bytes();
  kernel->translate(stream_of(handle).gpu);  // whoever gives a kernel a wrong pointer is told here, where he stands
  ++calls().launches;
  return enqueue(handle, std::make_shared<Launch>(std::move(kernel)));
}

void run_all(int gpu) {
  for (std::size_t i = streams().size(); i-- > 0;) {
    if (streams()[i]->gpu == gpu) run_all(*streams()[i]);
  }
}

bool synchronize(int gpu) {
  const std::scoped_lock lock(mutex());
  bool captures = false;
  for (StandinStream* stream : streams()) {
    if (stream->gpu == gpu && stream->recording) captures = stream->recording->invalidated = true;
  }
  if (!captures) run_all(gpu);
  return !captures;
}

}  // namespace gpucnn::standin

using namespace gpucnn::standin;  // cudart's functions are in no namespace

bool gpucnn_standin_captures(cudaStream_t stream) {
  const std::scoped_lock lock(mutex());
  return stream_of(stream).recording != nullptr;
}

bool gpucnn_standin_progress(void) {
  const std::scoped_lock lock(mutex());
  for (std::size_t i = 0; i < streams().size(); ++i) {
    if (progress(*streams()[i])) return true;
  }
  return false;
}

int gpucnn_standin_gpu_of(cudaStream_t stream) {
  const std::scoped_lock lock(mutex());
  return stream_of(stream).gpu;
}

void gpucnn_standin_enqueue(cudaStream_t stream, void (*run)(void*), void (*destroy)(void*), void* argument) {
  gpucnn_standin_enqueue_waiting(stream, nullptr, run, destroy, argument);
}

void gpucnn_standin_enqueue_waiting(cudaStream_t stream, bool (*ready)(void*), void (*run)(void*), void (*destroy)(void*),
                                    void* argument) {
  const std::scoped_lock lock(mutex());
  if (!is_current(stream_of(stream))) stop("a vendor library queues work in a stream of a GPU that is not current");
  ++calls().vendor_calls;
  enqueue(stream, std::make_shared<VendorCall>(ready, run, destroy, argument));
}

// ---- streams ---------------------------------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  if (availability() != cudaSuccess) return result(availability());
  const std::scoped_lock lock(mutex());
  streams().push_back(new StandinStream{.gpu = current_gpu()});
  *stream = reinterpret_cast<cudaStream_t>(streams().back());
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  const std::scoped_lock lock(mutex());
  StandinStream& stream = stream_of(handle);
  run_all(stream);
  streams().erase(std::find(streams().begin(), streams().end(), &stream));
  delete &stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  const std::scoped_lock lock(mutex());
  ++calls().synchronisations;
  StandinStream& stream = stream_of(handle);
  if (stream.recording) {
    stream.recording->invalidated = true;
    return result(cudaErrorStreamCaptureUnsupported);
  }
  run_all(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const std::scoped_lock lock(mutex());
  StandinStream& stream = stream_of(handle);
  if (stream.recording) {
    stream.recording->invalidated = true;
    return result(cudaErrorStreamCaptureUnsupported);
  }
  for (int i = 0; i < kPerQuery && progress(stream); ++i) continue;
  return stream.queue.empty() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
  const std::scoped_lock lock(mutex());
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (to_device != is_device_pointer(to) || from_device != is_device_pointer(from)) return result(cudaErrorInvalidValue);
  if (to_device) host_address(to, bytes, -1, "the target of cudaMemcpyAsync");
  if (from_device) host_address(from, bytes, -1, "the source of cudaMemcpyAsync");
  auto copy = std::make_shared<Copy>(to, from, bytes);
  const void* host = to_device ? from : to;
  if (to_device != from_device && !is_pinned(host, bytes)) {
    if (stream_of(handle).recording) stop("a copy was captured whose host memory is not pinned: it may be gone at a replay");
    if (to_device) copy->take_snapshot();
  }
  if (kind == cudaMemcpyHostToDevice) {
    ++calls().host_to_device_copies;
    calls().host_to_device_bytes += static_cast<std::int64_t>(bytes);
  }
  return enqueue(handle, std::move(copy));
}

cudaError_t cudaMemcpyPeerAsync(void* to, int to_gpu, const void* from, int from_gpu, std::size_t bytes, cudaStream_t handle) {
  host_address(to, bytes, to_gpu, "the target of cudaMemcpyPeerAsync");
  host_address(from, bytes, from_gpu, "the source of cudaMemcpyPeerAsync");
  return enqueue(handle, std::make_shared<Copy>(to, from, bytes));
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t handle) {
  host_address(to, bytes, -1, "cudaMemsetAsync");
  return enqueue(handle, std::make_shared<Set>(to, value, bytes));
}
