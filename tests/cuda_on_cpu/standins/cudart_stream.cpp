#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "gpu_state.h"

// Streams run late: only when somebody waits for them, or asks how they are.

namespace gpucnn::standin {
namespace {

/// Something that a stream does when it runs.
class Operation {
 public:
  virtual ~Operation() = default;
  virtual void run(int gpu) = 0;
  virtual const char* name() const = 0;
};

using Operations = std::vector<std::shared_ptr<Operation>>;

struct StandinStream {
  int gpu;
  std::deque<std::shared_ptr<Operation>> queue;
  bool capturing = false, invalidated = false;
  Operations captured;
};

constexpr int kPerQuery = 2;  // operations that a question after the stream's state lets run

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

/// CUDA launches nothing in a stream of another GPU than the current one.
bool is_current(const StandinStream& stream) { return stream.gpu == current_gpu(); }

void run_one(StandinStream& stream) {
  const std::shared_ptr<Operation> operation = std::move(stream.queue.front());
  stream.queue.pop_front();
  operation->run(stream.gpu);
}

void run_all(StandinStream& stream) {
  while (!stream.queue.empty()) run_one(stream);
}

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
  VendorCall(void (*call)(void*), void (*destroy)(void*), void* argument) : call_(call), destroy_(destroy), argument_(argument) {}
  ~VendorCall() override {
    if (destroy_) destroy_(argument_);
  }
  void run(int) override { call_(argument_); }
  const char* name() const override { return "vendor"; }

 private:
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

cudaError_t enqueue(cudaStream_t handle, std::shared_ptr<Operation> operation) {
  const std::scoped_lock lock(mutex());
  StandinStream& stream = stream_of(handle);
  if (stream.invalidated) return result(cudaErrorStreamCaptureInvalidated);
  if (stream.capturing) {
    stream.captured.push_back(std::move(operation));
  } else {
    stream.queue.push_back(std::move(operation));
  }
  return cudaSuccess;
}

}  // namespace

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
    if (stream->gpu == gpu && stream->capturing) captures = stream->invalidated = true;
  }
  if (!captures) run_all(gpu);
  return !captures;
}

}  // namespace gpucnn::standin

using namespace gpucnn::standin;  // cudart's functions are in no namespace

bool gpucnn_standin_captures(cudaStream_t stream) {
  const std::scoped_lock lock(mutex());
  return stream_of(stream).capturing;
}

void gpucnn_standin_enqueue(cudaStream_t stream, void (*run)(void*), void (*destroy)(void*), void* argument) {
  const std::scoped_lock lock(mutex());
  if (!is_current(stream_of(stream))) stop("a vendor library queues work in a stream of a GPU that is not current");
  ++calls().vendor_calls;
  enqueue(stream, std::make_shared<VendorCall>(run, destroy, argument));
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
  if (stream.capturing) {
    stream.invalidated = true;
    return result(cudaErrorStreamCaptureUnsupported);
  }
  run_all(stream);
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  const std::scoped_lock lock(mutex());
  StandinStream& stream = stream_of(handle);
  if (stream.capturing) {
    stream.invalidated = true;
    return result(cudaErrorStreamCaptureUnsupported);
  }
  for (int i = 0; i < kPerQuery && !stream.queue.empty(); ++i) run_one(stream);
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
    if (stream_of(handle).capturing) stop("a copy was captured whose host memory is not pinned: it may be gone at a replay");
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

// ---- graphs ----------------------------------------------------------------------------------------------------------

namespace {

/// The names of the nodes of the last graph, not the nodes, which go when their graph goes.
std::vector<const char*>& last_nodes() {
  static auto& last = *new std::vector<const char*>;
  return last;
}

}  // namespace

int gpucnn_standin_graph_nodes(const char** names, int count) {
  const std::scoped_lock lock(mutex());
  std::copy_n(last_nodes().begin(), std::min<std::size_t>(static_cast<std::size_t>(count), last_nodes().size()), names);
  return static_cast<int>(last_nodes().size());
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode) {
  const std::scoped_lock lock(mutex());
  StandinStream& stream = stream_of(handle);
  if (stream.capturing) return result(cudaErrorInvalidValue);
  stream.capturing = true;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const std::scoped_lock lock(mutex());
  StandinStream& stream = stream_of(handle);
  *graph = nullptr;
  if (!stream.capturing) return result(cudaErrorInvalidValue);
  stream.capturing = false;
  Operations captured = std::move(stream.captured);
  stream.captured.clear();
  if (std::exchange(stream.invalidated, false)) return result(cudaErrorStreamCaptureInvalidated);
  *graph = reinterpret_cast<cudaGraph_t>(new Operations(std::move(captured)));
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  const Operations& captured = *reinterpret_cast<Operations*>(graph);
  *made = reinterpret_cast<cudaGraphExec_t>(new Operations(captured));
  const std::scoped_lock lock(mutex());
  last_nodes().clear();
  for (const auto& operation : captured) last_nodes().push_back(operation->name());
  return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t handle) {
  const std::scoped_lock lock(mutex());
  return is_current(stream_of(handle)) ? cudaSuccess : result(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t handle) {
  const std::scoped_lock lock(mutex());
  if (!is_current(stream_of(handle))) return result(cudaErrorInvalidResourceHandle);
  ++calls().graph_launches;
  for (const auto& operation : *reinterpret_cast<Operations*>(graph)) enqueue(handle, operation);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<Operations*>(graph);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete reinterpret_cast<Operations*>(graph);
  return cudaSuccess;
}
