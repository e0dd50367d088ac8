#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/kernels/conv/conv2d.h>
#include <gpucnn/kernels/conv/conv2d_cudnn_graph.h>

// Which convolutions cuDNN can do, asked of the real library without a GPU: it plans for GPUs that are only described.
namespace gpucnn::kernels::cudnn {
namespace {

/// What cuDNN's choice of an engine may depend on.
struct Gpu {
  const char* name;
  int capability;                        // as 90
  int multiprocessors, threads, blocks;  // the last two of a multiprocessor
  int l2_bytes, shared_bytes;            // shared memory that a block can ask for
};

constexpr Gpu kGpus[] = {
    {"Tesla T4", 75, 40, 1024, 16, 4'194'304, 65'536},
    {"NVIDIA A100", 80, 108, 2048, 32, 41'943'040, 166'912},
    {"NVIDIA L4", 89, 58, 1536, 24, 50'331'648, 101'376},
    {"NVIDIA H200", 90, 132, 2048, 32, 62'914'560, 232'448},
    {"NVIDIA B200", 100, 148, 2048, 32, 132'644'864, 232'448},
    {"NVIDIA GeForce RTX 5090", 120, 170, 1536, 24, 100'663'296, 101'376},
};

Descriptor describe(const Gpu& gpu) {
  const std::string json = fmt::format(
      R"({{"cudaDeviceId": 0, "deviceName": "{}", "deviceVer": {}, "driverVer": 13000, "isTccDriver": 0, "l2CacheSize": {},
        "maxBlockSize": [1024, 1024, 64], "maxCtasPerSM": {}, "maxGridSize": [2147483647, 65535, 65535],
        "maxRegistersPerSM": 65536, "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": {},
        "maxThreadsPerBlock": 1024, "maxThreadsPerSM": {}, "memClockRateKHz": 3201000, "multiProcessorCount": {},
        "pciDeviceId": 0, "regsPerBlock": 65536, "reservedSharedMemoryPerBlock": 1024, "smClockRateKHz": 1980000,
        "supportCoopLaunch": 1, "totalGlobalMem": 16000000000, "warpSize": 32}})",
      gpu.name, gpu.capability * 10, gpu.l2_bytes, gpu.blocks, gpu.shared_bytes, gpu.threads, gpu.multiprocessors);
  Descriptor described(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  described.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::span<const char>(json));
  described.finalize();
  return described;
}

struct Case {
  const char* name;
  Shape x;
  std::int64_t K;
  Conv2dOptions options;
};

Convolution convolution(const Case& c) {
  return {c.x, conv2d_weight_shape(c.x[1], c.K, c.options), conv2d_shape(c.x, c.x[1], c.K, c.options), c.options};
}

/// SimpleCNN's at its usual batch sizes, and one of everything else that Conv2dOptions can say.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::int64_t N : {1, 4, 80, 128, 4096}) {
    all.push_back({"first of SimpleCNN", {N, 3, 32, 32}, 16, {.kernel_size = 3, .padding = 1}});
    all.push_back({"second of SimpleCNN", {N, 16, 16, 16}, 32, {.kernel_size = 3, .padding = 1}});
  }
  all.push_back({"one channel", {1, 1, 7, 5}, 1, {.kernel_size = 3}});
  all.push_back({"odd channels", {3, 5, 7, 5}, 17, {.kernel_size = 3, .padding = 1}});
  all.push_back({"wide", {32, 256, 14, 14}, 512, {.kernel_size = 3, .padding = 1}});
  all.push_back({"large window", {8, 3, 224, 224}, 64, {.kernel_size = 7, .stride = 2, .padding = 3}});
  all.push_back({"oblong", {2, 2, 9, 11}, 3, {.kernel_size = {1, 5}, .stride = {2, 1}, .padding = {0, 2}}});
  all.push_back({"dilation", {2, 3, 11, 9}, 4, {.kernel_size = 3, .padding = 2, .dilation = 2}});
  all.push_back({"groups", {3, 6, 8, 8}, 4, {.kernel_size = 3, .padding = 1, .groups = 2}});
  all.push_back({"depthwise", {3, 8, 8, 8}, 8, {.kernel_size = 3, .padding = 1, .groups = 8}});
  all.push_back({"pointwise", {3, 33, 5, 5}, 31, {.kernel_size = 1}});
  all.push_back({"sides", {3, 8, 8, 8}, 8, {.kernel_size = 2, .padding = Sides{.bottom = 1, .right = 1}}});
  all.push_back({"without bias", {3, 4, 6, 6}, 5, {.kernel_size = 3, .padding = 1, .bias = false}});
  return all;
}

std::vector<cudnnBackendNumericalNote_t> notes_of(const ExecutionPlan& plan) {
  const auto choices = plan.plan.get(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, 1);
  const auto engines = choices.at(0).get(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1);
  return engines.at(0).get<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
}

class Conv2dCudnnPlans : public testing::TestWithParam<Gpu> {
 protected:
  void SetUp() override {
    try {
      functions();
    } catch (const DeviceError& error) {
      GTEST_SKIP() << error.what();
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Gpus, Conv2dCudnnPlans, testing::ValuesIn(kGpus),
                         [](const auto& test) { return fmt::format("sm_{}", test.param.capability); });

TEST_P(Conv2dCudnnPlans, GiveTheSameBitsInEveryRunAtThePrecisionAskedFor) {
  using testing::Contains;
  using testing::Not;
  const Descriptor properties = describe(GetParam());
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    if (precision != Precision::fp32 && GetParam().capability < 80) continue;
    for (const Case& c : cases()) {
      for (const Pass pass : {Pass::forward, Pass::backward_data, Pass::backward_weights}) {
        SCOPED_TRACE(fmt::format("{} {}, {}, pass {}", c.name, c.x.string(), name_of(precision), static_cast<int>(pass)));
        const auto made = execution_plan(pass, convolution(c), precision, {.properties = &properties});
        ASSERT_TRUE(made) << "cuDNN has no engine";
        const auto notes = notes_of(*made);
        EXPECT_THAT(notes, Not(Contains(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)));
        if (precision != Precision::fp32) continue;
        EXPECT_THAT(notes, Not(Contains(CUDNN_NUMERICAL_NOTE_TENSOR_CORE)));
        EXPECT_THAT(notes, Not(Contains(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)));
        EXPECT_THAT(notes, Not(Contains(CUDNN_NUMERICAL_NOTE_WINOGRAD)));
      }
    }
  }
}

}  // namespace
}  // namespace gpucnn::kernels::cudnn
