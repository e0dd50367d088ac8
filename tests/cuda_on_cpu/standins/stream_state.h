#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "gpu_state.h"

/// What a stream is to the files of the stand-in that know streams, events and graphs.
namespace gpucnn::standin {

struct StandinStream;
struct Moment;
using Moments = std::unordered_map<const Moment*, std::shared_ptr<Moment>>;

/// Something that a stream does when it runs.
class Operation {
 public:
  virtual ~Operation() = default;
  virtual void run(int gpu) = 0;
  /// Whether `run` would not wait. A question after a stream's state runs nothing that would.
  virtual bool is_ready() { return true; }
  /// Of a node of a graph; null for what is none.
  virtual const char* name() const = 0;
  /// What a replay queues in `stream`: this, or its like with moments of the replay's own.
  virtual std::shared_ptr<Operation> again(Moments&, StandinStream&) { return nullptr; }
};

using Operations = std::vector<std::shared_ptr<Operation>>;

/// How much of each stream of a capture comes before something.
using Clock = std::map<const StandinStream*, std::size_t>;

/// What one stream and those that joined it record.
struct Recording {
  struct Lane {
    Operations operations;
    Clock seen;
  };
  StandinStream* origin;
  bool invalidated = false;
  std::map<StandinStream*, Lane> lanes;
};

struct StandinStream {
  int gpu;
  std::deque<std::shared_ptr<Operation>> queue;
  bool is_running = false;                         // an operation, which may run those of other streams meanwhile
  std::shared_ptr<Recording> recording = nullptr;  // null while nothing is captured
};

std::vector<StandinStream*>& streams();
StandinStream& stream_of(cudaStream_t handle);
/// CUDA launches nothing in a stream of another GPU than the current one.
bool is_current(const StandinStream& stream);

/// Runs the first operation of the stream. With GPUCNN_STANDIN_EAGER=1 other streams go first, as far as they need not wait.
void run_one(StandinStream& stream);
void run_all(StandinStream& stream);
/// Runs an operation that need not wait, of this stream or of one that it waits for. False if there is none.
bool progress(StandinStream& stream);

/// Queues or records it.
cudaError_t enqueue(StandinStream& stream, std::shared_ptr<Operation> operation);

}  // namespace gpucnn::standin
