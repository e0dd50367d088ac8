#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <shared_mutex>
#include <utility>
#include <vector>

#include <gpucnn/core/gpu/queue.h>

namespace gpucnn::gpu {

/// Recorded work, to be replayed, and what it needs.
class Graph {
 public:
  /// Empty; a Capture fills it.
  Graph(Queue& queue, std::vector<std::shared_ptr<const void>> needed) : queue_(queue), needed_(std::move(needed)) {}
  /// Waits for the replays, since what they need goes.
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Queues a replay.
  void launch() const;

 private:
  friend class Capture;
  Queue& queue_;
  cudaGraphExec_t graph_ = nullptr;
  std::vector<std::shared_ptr<const void>> needed_;
};

/// While one lives, the calling thread's work for this GPU is recorded into a graph instead of run. It has a stream of its own, so
/// that other threads may capture or work meanwhile.
class Capture {
 public:
  /// `state` is what `Queue::step_state` gives meanwhile.
  Capture(Device device, const StepState* state);
  /// Ends the recording and throws away what `finish` did not take.
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  /// Ends the recording and gives what it holds.
  std::unique_ptr<Graph> finish();

  /// Whether something was asked for that cannot be recorded: a result on the host, or a copy from there.
  bool refused() const noexcept { return refused_; }

 private:
  friend class Queue;
  /// What this thread captures of the queue's work; null: nothing.
  static Capture* into(const Queue& queue) noexcept;

  Queue& queue_;
  const StepState* state_;
  std::shared_lock<std::shared_mutex> lock_;
  cudaStream_t stream_ = nullptr;
  std::vector<std::shared_ptr<const void>> needed_;
  bool open_ = false, refused_ = false;
};

}  // namespace gpucnn::gpu
