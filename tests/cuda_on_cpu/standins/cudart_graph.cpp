#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "stream_state.h"

// Events, and what streams that wait for each other's events record together.

namespace gpucnn::standin {

/// One record of an event.
struct Moment {
  StandinStream* stream;
  bool has_come = false;
  std::shared_ptr<Recording> recording = nullptr;  // null: of no capture
  Clock seen = {};                                 // if of one: what comes before it
};

namespace {

struct StandinEvent {
  std::shared_ptr<Moment> moment;  // null before the first record
};

StandinEvent& event_of(cudaEvent_t handle) {
  if (!handle) stop("an event was used that does not exist");
  return *reinterpret_cast<StandinEvent*>(handle);
}

/// The moment's like in one replay.
std::shared_ptr<Moment> replayed(Moments& moments, const std::shared_ptr<Moment>& moment) {
  std::shared_ptr<Moment>& own = moments[moment.get()];
  if (!own) own = std::make_shared<Moment>();
  return own;
}

class Record final : public Operation {
 public:
  explicit Record(std::shared_ptr<Moment> moment) : moment_(std::move(moment)) {}
  void run(int) override { moment_->has_come = true; }
  const char* name() const override { return nullptr; }
  std::shared_ptr<Operation> again(Moments& moments, StandinStream& stream) override {
    const std::shared_ptr<Moment> own = replayed(moments, moment_);
    own->stream = &stream;
    return std::make_shared<Record>(own);
  }

 private:
  std::shared_ptr<Moment> moment_;
};

class Wait final : public Operation {
 public:
  explicit Wait(std::shared_ptr<Moment> moment) : moment_(std::move(moment)) {}
  void run(int) override {
    while (!moment_->has_come) run_one(*moment_->stream);
  }
  bool is_ready() override {
    while (!moment_->has_come && progress(*moment_->stream)) continue;
    return moment_->has_come;
  }
  const char* name() const override { return nullptr; }
  std::shared_ptr<Operation> again(Moments& moments, StandinStream&) override {
    return std::make_shared<Wait>(replayed(moments, moment_));
  }

 private:
  std::shared_ptr<Moment> moment_;
};

/// What each stream of a capture recorded, the first being the one that began it. A replay queues the first where it is launched,
/// and the others in streams of its own.
struct Graph {
  std::vector<Operations> lanes;
};

struct GraphExec {
  explicit GraphExec(const Graph& graph) : lanes(graph.lanes) {
    for (std::size_t i = 1; i < lanes.size(); ++i) {
      beside.push_back(std::make_unique<StandinStream>(StandinStream{.gpu = current_gpu()}));
      streams().push_back(beside.back().get());
    }
  }
  ~GraphExec() {
    for (const auto& stream : beside) {
      run_all(*stream);
      std::erase(streams(), stream.get());
    }
  }
  GraphExec(const GraphExec&) = delete;
  GraphExec& operator=(const GraphExec&) = delete;

  std::vector<Operations> lanes;
  std::vector<std::unique_ptr<StandinStream>> beside;
};

/// The names of the nodes of the last graph, not the nodes, which go when their graph goes.
std::vector<const char*>& last_nodes() {
  static auto& last = *new std::vector<const char*>;
  return last;
}

/// Whether all that was recorded comes before the end of the stream that began.
bool is_joined(const Recording& recording) {
  const Clock& seen = recording.lanes.at(recording.origin).seen;
  return std::ranges::all_of(recording.lanes, [&](const auto& lane) {
    const auto found = seen.find(lane.first);
    return lane.second.operations.empty() || (found != seen.end() && found->second >= lane.second.operations.size());
  });
}

void merge(Clock& clock, const Clock& other) {
  for (const auto& [stream, count] : other) clock[stream] = std::max(clock[stream], count);
}

}  // namespace
}  // namespace gpucnn::standin

using namespace gpucnn::standin;  // cudart's functions are in no namespace

// ---- events ----------------------------------------------------------------------------------------------------------

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if (availability() != cudaSuccess) return result(availability());
  if (flags != cudaEventDisableTiming) stop("cudaEventCreateWithFlags: an event that tells the time");
  *event = reinterpret_cast<cudaEvent_t>(new StandinEvent);
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::scoped_lock lock(mutex());
  delete &event_of(event);
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  const std::scoped_lock lock(mutex());
  StandinStream& stream = stream_of(handle);
  if (!is_current(stream)) return result(cudaErrorInvalidResourceHandle);
  auto moment = std::make_shared<Moment>(Moment{.stream = &stream, .recording = stream.recording});
  const cudaError_t status = enqueue(stream, std::make_shared<Record>(moment));
  if (stream.recording && status == cudaSuccess) moment->seen = stream.recording->lanes.at(&stream).seen;
  event_of(event).moment = std::move(moment);
  return status;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  const std::scoped_lock lock(mutex());
  StandinStream& stream = stream_of(handle);
  const std::shared_ptr<Moment> moment = event_of(event).moment;
  if (!moment) return cudaSuccess;
  if (moment->recording && moment->recording->lanes.empty()) return result(cudaErrorCapturedEvent);  // that capture has ended
  if (moment->recording && !stream.recording) {
    stream.recording = moment->recording;
    stream.recording->lanes[&stream];
  }
  if (stream.recording != moment->recording) {
    stream.recording->invalidated = true;
    return result(cudaErrorStreamCaptureIsolation);
  }
  if (stream.recording) merge(stream.recording->lanes.at(&stream).seen, moment->seen);
  return enqueue(stream, std::make_shared<Wait>(moment));
}

// ---- graphs ----------------------------------------------------------------------------------------------------------

int gpucnn_standin_graph_nodes(const char** names, int count) {
  const std::scoped_lock lock(mutex());
  std::copy_n(last_nodes().begin(), std::min<std::size_t>(static_cast<std::size_t>(count), last_nodes().size()), names);
  return static_cast<int>(last_nodes().size());
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode) {
  const std::scoped_lock lock(mutex());
  StandinStream& stream = stream_of(handle);
  if (stream.recording) return result(cudaErrorInvalidValue);
  stream.recording = std::make_shared<Recording>(Recording{.origin = &stream});
  stream.recording->lanes[&stream];
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  const std::scoped_lock lock(mutex());
  StandinStream& stream = stream_of(handle);
  *graph = nullptr;
  const std::shared_ptr<Recording> recording = stream.recording;
  if (!recording || recording->origin != &stream) return result(cudaErrorInvalidValue);
  const bool joined = is_joined(*recording);
  auto made = std::make_unique<Graph>();
  made->lanes.push_back(recording->lanes.at(&stream).operations);
  for (auto& [other, lane] : recording->lanes) {
    other->recording = nullptr;
    if (other != &stream) made->lanes.push_back(std::move(lane.operations));
  }
  recording->lanes.clear();
  if (recording->invalidated) return result(cudaErrorStreamCaptureInvalidated);
  if (!joined) return result(cudaErrorStreamCaptureUnjoined);
  *graph = reinterpret_cast<cudaGraph_t>(made.release());
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* made, cudaGraph_t graph, unsigned long long) {
  const std::scoped_lock lock(mutex());
  const Graph& captured = *reinterpret_cast<Graph*>(graph);
  *made = reinterpret_cast<cudaGraphExec_t>(new GraphExec(captured));
  last_nodes().clear();
  for (const Operations& lane : captured.lanes) {
    for (const auto& operation : lane) {
      if (operation->name()) last_nodes().push_back(operation->name());
    }
  }
  return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t handle) {
  const std::scoped_lock lock(mutex());
  return is_current(stream_of(handle)) ? cudaSuccess : result(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t handle) {
  const std::scoped_lock lock(mutex());
  StandinStream& stream = stream_of(handle);
  if (!is_current(stream)) return result(cudaErrorInvalidResourceHandle);
  ++calls().graph_launches;
  const GraphExec& exec = *reinterpret_cast<GraphExec*>(graph);
  Moments moments;
  for (std::size_t lane = 0; lane < exec.lanes.size(); ++lane) {
    StandinStream& to = lane == 0 ? stream : *exec.beside[lane - 1];
    for (const auto& operation : exec.lanes[lane]) {
      const std::shared_ptr<Operation> own = operation->again(moments, to);
      enqueue(to, own ? own : operation);
    }
  }
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete reinterpret_cast<Graph*>(graph);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  const std::scoped_lock lock(mutex());
  delete reinterpret_cast<GraphExec*>(graph);
  return cudaSuccess;
}
