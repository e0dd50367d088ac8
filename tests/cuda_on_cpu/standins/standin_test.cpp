#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/core/gpu/graph_capture.h>
#include <gpucnn/core/gpu/launch.h>
#include <gpucnn/core/memory/allocator.h>
#include <gpucnn/core/tensor.h>

#include "device_memory.h"

// The stand-in for cudart: late, strict, and of a size that the environment gives.
namespace gpucnn {
namespace {

using testing::Each;
using testing::ElementsAre;

const Device kGpu = Device::cuda();

cudaStream_t queue() { return gpu::queue(kGpu).stream(); }

__global__ void add_one_kernel(float* x) { x[threadIdx.x] += 1; }

void add_one(float* x) { launch(Stream(kGpu), "add_one", {1, 2}, add_one_kernel, x); }

/// Pinned host memory for two floats.
class Pinned {
 public:
  Pinned() {
    void* memory = nullptr;
    gpu::check(cudaHostAlloc(&memory, 2 * sizeof(float), cudaHostAllocPortable), "cudaHostAlloc");
    data_ = static_cast<float*>(memory);
  }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() { cudaFreeHost(data_); }

  float* data() const { return data_; }

 private:
  float* data_;
};

// ---- what is late ----------------------------------------------------------------------------------------------------

TEST(Standin, NothingIsDoneBeforeSomebodyWaits) {
  const DeviceMemory<float> x({1, 2});
  std::vector<float> y(2, -1);
  add_one(x.data());
  cudaMemcpyAsync(y.data(), x.data(), 8, cudaMemcpyDeviceToHost, queue());
  EXPECT_THAT(y, Each(-1));
  cudaStreamSynchronize(queue());
  EXPECT_THAT(y, ElementsAre(2, 3));
}

TEST(Standin, ReadsPinnedMemoryLateAndOtherMemoryAtOnce) {
  const DeviceMemory<float> x(2), z(2);
  const Pinned pinned;
  std::vector<float> pageable{1, 2};
  std::copy(pageable.begin(), pageable.end(), pinned.data());
  cudaMemcpyAsync(x.data(), pinned.data(), 8, cudaMemcpyHostToDevice, queue());
  cudaMemcpyAsync(z.data(), pageable.data(), 8, cudaMemcpyHostToDevice, queue());
  pinned.data()[0] = pageable[0] = 5;
  EXPECT_THAT(x.values(), ElementsAre(5, 2));
  EXPECT_THAT(z.values(), ElementsAre(1, 2));
}

TEST(Standin, KnowsNoOrderBetweenStreams) {
  const DeviceMemory<float> x({1, 2});
  x.values();
  cudaStream_t other = nullptr;
  cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
  add_one(x.data());
  const Pinned seen;
  cudaMemcpyAsync(seen.data(), x.data(), 8, cudaMemcpyDeviceToHost, other);
  cudaStreamSynchronize(other);
  EXPECT_EQ(seen.data()[0], 1);
  EXPECT_THAT(x.values(), ElementsAre(2, 3));
  cudaStreamDestroy(other);
}

TEST(Standin, GoesOnALittleWhenAsked) {
  const DeviceMemory<float> x({1, 2});
  for (int i = 0; i < 4; ++i) add_one(x.data());  // after the copy: 5 operations, of which a question runs 2
  EXPECT_EQ(cudaStreamQuery(queue()), cudaErrorNotReady);
  EXPECT_EQ(cudaStreamQuery(queue()), cudaErrorNotReady);
  EXPECT_EQ(cudaStreamQuery(queue()), cudaSuccess);
}

// ---- graphs ----------------------------------------------------------------------------------------------------------

TEST(Standin, ReplaysWhatWasCapturedAndRunsNothingMeanwhile) {
  const DeviceMemory<float> x({1, 2});
  const Pinned pinned;
  pinned.data()[0] = pinned.data()[1] = 0;
  std::unique_ptr<gpu::Graph> graph;
  {
    gpu::Capture capture(kGpu, nullptr);
    add_one(x.data());
    add_one(x.data());
    cudaMemcpyAsync(pinned.data(), x.data(), 8, cudaMemcpyDeviceToHost, queue());
    graph = capture.finish();
  }
  EXPECT_THAT(x.values(), ElementsAre(1, 2));
  const gpucnn_standin_calls before = gpucnn_standin_counts();
  graph->launch();
  graph->launch();
  EXPECT_EQ(pinned.data()[0], 0);
  cudaStreamSynchronize(queue());
  EXPECT_EQ(pinned.data()[0], 5);
  const gpucnn_standin_calls after = gpucnn_standin_counts();
  EXPECT_EQ(after.graph_launches - before.graph_launches, 2);
  EXPECT_EQ(after.launches - before.launches, 0);
  EXPECT_EQ(after.synchronisations - before.synchronisations, 1);
}

TEST(Standin, ACaptureThatWaitsIsInvalid) {
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(graph, nullptr);
  cudaStreamDestroy(stream);
  cudaGetLastError();
}

TEST(StandinDeathTest, RefusesToCaptureACopyOfMemoryThatMayBeGone) {
  const DeviceMemory<float> x(2);
  const std::vector<float> pageable(2);
  EXPECT_DEATH(
      {
        gpu::Capture capture(kGpu, nullptr);
        cudaMemcpyAsync(x.data(), pageable.data(), 8, cudaMemcpyHostToDevice, queue());
      },
      "host memory is not pinned");
}

TEST(Standin, AContextThatIsMadeMeanwhileBreaksACapture) {
  gpucnn_standin_context context{};
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
  EXPECT_FALSE(gpucnn_standin_create(&context));
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_TRUE(gpucnn_standin_create(&context));
  cudaStreamDestroy(stream);
  cudaGetLastError();
}

struct Countdown {
  int runs = 0, destroyed = 0;
};

TEST(Standin, RunsAVendorsWorkWithTheStreamAndInEveryReplay) {
  Countdown count;
  const auto run = [](void* c) { ++static_cast<Countdown*>(c)->runs; };
  const auto destroy = [](void* c) { ++static_cast<Countdown*>(c)->destroyed; };
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed);
  gpucnn_standin_enqueue(stream, run, destroy, &count);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t replayed = nullptr;
  cudaStreamEndCapture(stream, &graph);
  cudaGraphInstantiate(&replayed, graph, 0);
  cudaGraphDestroy(graph);
  cudaGraphLaunch(replayed, queue());
  cudaGraphLaunch(replayed, queue());
  EXPECT_EQ(count.runs, 0);
  cudaGraphExecDestroy(replayed);
  EXPECT_EQ(count.destroyed, 0);
  cudaStreamSynchronize(queue());
  EXPECT_EQ(count.runs, 2);
  EXPECT_EQ(count.destroyed, 1);
  cudaStreamDestroy(stream);
}

// ---- memory ----------------------------------------------------------------------------------------------------------

TEST(StandinDeathTest, TheHostCannotFollowADevicePointer) {
  const DeviceMemory<float> x(2);
  EXPECT_DEATH(*const_cast<volatile float*>(x.data()) = 1, "");
}

TEST(StandinDeathTest, KernelsTakeNoHostPointers) {
  std::vector<float> host(2);
  EXPECT_DEATH(add_one(host.data()), "kernel add_one got a host pointer as argument 1");
}

TEST(StandinDeathTest, KernelsTakeNoPointersToFreedMemory) {
  float* freed = nullptr;
  {
    const DeviceMemory<float> x(2);
    freed = x.data();
  }
  EXPECT_DEATH(add_one(freed), "argument 1 of kernel add_one lies in no block");
}

TEST(Standin, KernelsWriteMappedPinnedMemory) {
  const Pinned pinned;
  pinned.data()[0] = pinned.data()[1] = 1;
  void* mapped = nullptr;
  ASSERT_EQ(cudaHostGetDevicePointer(&mapped, pinned.data(), 0), cudaSuccess);
  add_one(static_cast<float*>(mapped));
  cudaStreamSynchronize(queue());
  EXPECT_EQ(pinned.data()[1], 2);
}

TEST(Standin, AddressesOfVendorsMustLieInOneBlock) {
  const DeviceMemory<float> x({1, 2});
  x.values();
  EXPECT_EQ(static_cast<const float*>(gpucnn_standin_address(x.data() + 1, 4))[0], 2);
  EXPECT_EQ(gpucnn_standin_address(nullptr, 4), nullptr);
}

TEST(StandinDeathTest, AddressesOfVendorsMustLieInOneBlock) {
  const DeviceMemory<float> x(2);
  const float host = 0;
  EXPECT_DEATH(gpucnn_standin_address(x.data() + 1, 8), "8 bytes from byte 4 of a block of 8");
  EXPECT_DEATH(gpucnn_standin_address(&host, 4), "is no device memory");
}

TEST(StandinDeathTest, HasNoDefaultStream) { EXPECT_DEATH(cudaStreamSynchronize(nullptr), "the legacy default stream was used"); }

TEST(Standin, RefusesCopiesInTheWrongDirection) {
  const DeviceMemory<float> x(2);
  std::vector<float> host(2);
  EXPECT_EQ(cudaMemcpyAsync(x.data(), host.data(), 8, cudaMemcpyDeviceToHost, queue()), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpyAsync(host.data(), x.data(), 8, cudaMemcpyDeviceToDevice, queue()), cudaErrorInvalidValue);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidValue);
}

TEST(Standin, FreshMemoryIsNan) {
  const DeviceMemory<float> x(3);
  EXPECT_THAT(x.values(), Each(testing::IsNan()));
}

// ---- the machine that the environment gives ---------------------------------------------------------------------------

/// In a process of its own, because settings are read once: whether `holds()`.
template <class Holds>
void expect_with(const char* name, const char* value, const Holds& holds) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  setenv(name, value, 1);
  EXPECT_EXIT(std::exit(holds() ? 0 : 1), testing::ExitedWithCode(0), "");
  unsetenv(name);
}

TEST(StandinDeathTest, HasAsMuchMemoryAsItIsGiven) {
  expect_with("GPUCNN_STANDIN_MEMORY", "1000000", [] {
    const Tensor half = Tensor::empty({100'000}, DType::f32, kGpu);
    try {
      Tensor::empty({200'000}, DType::f32, kGpu);
      return false;
    } catch (const OutOfMemory&) {
    }
    std::size_t free = 0, total = 0;
    return cudaMemGetInfo(&free, &total) == cudaSuccess && total == 1'000'000 && free < 600'000;
  });
}

TEST(StandinDeathTest, HasNoDriverIfSo) {
  expect_with("GPUCNN_STANDIN_DRIVER", "0", [] {
    int version = -1, count = -1;
    return cudaDriverGetVersion(&version) == cudaSuccess && version == 0 &&
           cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver && count == 0;
  });
}

TEST(StandinDeathTest, HasAnOldDriverIfSo) {
  expect_with("GPUCNN_STANDIN_DRIVER", "12040", [] {
    int version = -1, count = -1;
    return cudaDriverGetVersion(&version) == cudaSuccess && version == 12040 &&
           cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver;
  });
}

TEST(StandinDeathTest, HasSeveralGpusThatDoNotReachEachOther) {
  expect_with("GPUCNN_STANDIN_GPUS", "2", [] {
    const Tensor there = Tensor::from(std::vector<float>{1, 2}, {2}, Device::cuda(1));
    return there.to(kGpu).to_vector<float>() == std::vector<float>{1, 2};
  });
}

TEST(StandinDeathTest, WorksForTheCurrentGpuOnly) {
  expect_with("GPUCNN_STANDIN_GPUS", "2", [] {
    cudaStream_t stream = nullptr;
    float* x = nullptr;
    gpucnn_standin_context context{};
    gpucnn_standin_create(&context);
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaMalloc(reinterpret_cast<void**>(&x), 8);
    const auto launched = [&] {
      return standin::enqueue_kernel(
          stream, std::make_shared<emulator::KernelCall<float*>>("add_one", 1, LaunchShape{1, 2}, add_one_kernel, x));
    };
    if (launched() != cudaSuccess) return false;
    cudaSetDevice(1);
    return launched() == cudaErrorInvalidResourceHandle && cudaGetLastError() == cudaErrorInvalidResourceHandle;
  });
  const gpucnn_standin_context elsewhere = {.gpu = 1, .uses = 0};
  EXPECT_DEATH(gpucnn_standin_use(&elsewhere), "a vendor's context of GPU 1 is used while GPU 0 is current");
}

TEST(StandinDeathTest, AContextServesOneThreadAtATime) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        gpucnn_standin_context context{};
        const auto use = [&] {
          for (int i = 0; i < 1'000'000; ++i) gpucnn_standin_use_alone(&context);
        };
        std::thread other(use);
        use();
        other.join();
      },
      "two threads use a vendor's context at once");
}

TEST(StandinDeathTest, HasNoCodeForAnOldGpu) {
  expect_with("GPUCNN_STANDIN_CAPABILITY", "6.1", [] {
    cudaFuncAttributes attributes{};
    return gpucnn_standin_capability() == 61 && cudaFuncGetAttributes(&attributes, nullptr) == cudaErrorNoKernelImageForDevice;
  });
}

}  // namespace
}  // namespace gpucnn
