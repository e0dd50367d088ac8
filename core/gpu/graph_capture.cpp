#include <gpucnn/core/gpu/graph_capture.h>

#include <stdexcept>

namespace gpucnn::gpu {
namespace {

/// What this thread captures.
thread_local Capture* current_capture = nullptr;

}  // namespace

Capture* Capture::into(const Queue& queue) noexcept {
  return current_capture && &current_capture->queue_ == &queue ? current_capture : nullptr;
}

Capture::Capture(Device device, const StepState* state) : queue_(queue(device)), state_(state) {
  if (current_capture) throw std::logic_error("a step is being captured already");
  const CurrentGpu current(queue_.index_);
  check(current.status(), "cudaSetDevice");
  lock_ = std::shared_lock(queue_.captures_);
  stream_ = queue_.take_capture_stream();
  // Relaxed: a block of memory that is missing may still be asked for, here and by other threads.
  const cudaError_t status = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed);
  if (status != cudaSuccess) queue_.give_back(stream_);
  check(status, "cudaStreamBeginCapture");
  open_ = true;
  current_capture = this;
}

Capture::~Capture() {
  if (open_) {
    const CurrentGpu current(queue_.index_);
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(stream_, &graph);
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();
  }
  current_capture = nullptr;
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
  // So that the first replay is as fast as the others.
  check(cudaGraphUpload(made->graph_, queue_.stream_), "cudaGraphUpload");
  return made;
}

Graph::~Graph() {
  if (!graph_) return;
  const CurrentGpu current(queue_.index_);
  cudaStreamSynchronize(queue_.stream_);
  cudaGraphExecDestroy(graph_);
}

void Graph::launch() const { check(cudaGraphLaunch(graph_, queue_.stream()), "cudaGraphLaunch"); }

}  // namespace gpucnn::gpu
