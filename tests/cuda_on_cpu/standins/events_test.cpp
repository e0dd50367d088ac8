#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include <gpucnn/core/gpu/queue.h>

#include "device_memory.h"

// Streams that wait for each other's events, alone and in a graph.
namespace gpucnn {
namespace {

using testing::ElementsAre;

struct OfStreams : testing::Test {
  void SetUp() override {
    gpu::queue(Device::cuda());  // makes the GPU current
    for (cudaStream_t& stream : {std::ref(first), std::ref(second)}) cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    for (cudaEvent_t& event : {std::ref(fork), std::ref(join)}) cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  }
  void TearDown() override {
    for (cudaEvent_t event : {fork, join}) cudaEventDestroy(event);
    for (cudaStream_t stream : {first, second}) cudaStreamDestroy(stream);
  }
  void set(int value, cudaStream_t stream) { cudaMemsetAsync(x.data(), value, 1, stream); }
  void copy(cudaStream_t stream) { cudaMemcpyAsync(y.data(), x.data(), 1, cudaMemcpyDeviceToDevice, stream); }
  void order(cudaEvent_t event, cudaStream_t before, cudaStream_t behind) {
    EXPECT_EQ(cudaEventRecord(event, before), cudaSuccess);
    EXPECT_EQ(cudaStreamWaitEvent(behind, event, 0), cudaSuccess);
  }
  std::uint8_t copied() {
    cudaStreamSynchronize(first);
    cudaStreamSynchronize(second);
    return y.values()[0];
  }

  DeviceMemory<std::uint8_t> x{1}, y{1};
  cudaStream_t first{}, second{};
  cudaEvent_t fork{}, join{};
};
using Events = OfStreams;

TEST_F(Events, LetAStreamWaitForAnother) {
  set(1, first);
  order(fork, first, second);
  copy(second);
  order(join, second, first);
  set(2, first);
  EXPECT_EQ(copied(), 1);
}

TEST_F(Events, ThatNobodyRecordedLetNobodyWait) {
  EXPECT_EQ(cudaStreamWaitEvent(second, fork, 0), cudaSuccess);
  EXPECT_EQ(cudaStreamQuery(second), cudaSuccess);
}

TEST_F(Events, LetAQuestionRunWhatIsWaitedFor) {
  set(1, first);
  order(fork, first, second);
  copy(second);
  while (cudaStreamQuery(second) == cudaErrorNotReady) continue;
  EXPECT_EQ(copied(), 1);
}

TEST_F(Events, CarryACaptureOn) {
  cudaGraph_t graph{};
  cudaGraphExec_t made{};
  EXPECT_EQ(cudaStreamBeginCapture(first, cudaStreamCaptureModeRelaxed), cudaSuccess);
  set(1, first);
  order(fork, first, second);
  copy(second);
  order(join, second, first);
  set(2, first);
  EXPECT_EQ(cudaStreamEndCapture(first, &graph), cudaSuccess);
  EXPECT_EQ(cudaGraphInstantiate(&made, graph, 0), cudaSuccess);
  for (int replay = 0; replay < 3; ++replay) {
    cudaMemsetAsync(y.data(), 9, 1, first);
    EXPECT_EQ(cudaGraphLaunch(made, first), cudaSuccess);
    EXPECT_EQ(copied(), 1);
  }
  cudaGraphExecDestroy(made);
  cudaGraphDestroy(graph);
  copy(second);  // which captures no more
  EXPECT_EQ(copied(), 2);
}

TEST_F(Events, MustBringACaptureBack) {
  cudaGraph_t graph{};
  cudaStreamBeginCapture(first, cudaStreamCaptureModeRelaxed);
  set(1, first);
  order(fork, first, second);
  copy(second);
  EXPECT_EQ(cudaStreamEndCapture(first, &graph), cudaErrorStreamCaptureUnjoined);
  EXPECT_EQ(graph, nullptr);
  EXPECT_EQ(cudaStreamWaitEvent(second, fork, 0), cudaErrorCapturedEvent);
  EXPECT_EQ(cudaStreamQuery(second), cudaSuccess);
}

TEST_F(Events, OfNoCaptureSpoilOne) {
  cudaGraph_t graph{};
  cudaEventRecord(fork, second);
  cudaStreamBeginCapture(first, cudaStreamCaptureModeRelaxed);
  EXPECT_EQ(cudaStreamWaitEvent(first, fork, 0), cudaErrorStreamCaptureIsolation);
  EXPECT_EQ(cudaStreamEndCapture(first, &graph), cudaErrorStreamCaptureInvalidated);
}

}  // namespace
}  // namespace gpucnn
