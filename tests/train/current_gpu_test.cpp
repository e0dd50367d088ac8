// An application that chooses its own current GPU between any two calls of the library. Skipped where there are not two.
#include <cuda_runtime_api.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/memory/allocator.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/train/trainer.h>

#include "layers/layers.h"

namespace gpucnn {
namespace {

/// Which GPU a tensor's memory is on, by CUDA's word.
int gpu_of(const Tensor& tensor) {
  cudaPointerAttributes attributes{};
  EXPECT_EQ(cudaPointerGetAttributes(&attributes, tensor.bytes()), cudaSuccess);
  return attributes.device;
}

/// The parameters: the GPU that the application makes current before each call, and the one that the library works on.
class CurrentGpu : public testing::TestWithParam<std::pair<int, int>> {
 protected:
  void SetUp() override {
    if (!backend::cuda_usable(1, nullptr)) GTEST_SKIP() << "there are not two GPUs";
  }
  void TearDown() override { cudaSetDevice(0); }

  const int chosen = GetParam().first;
  const Device device = Device::cuda(GetParam().second), other = Device::cuda(GetParam().first);

  /// Makes the call as an application would, and looks whether its GPU is still the current one.
  void call(const char* name, const std::function<void()>& work) const {
    cudaSetDevice(chosen);
    work();
    int now = -1;
    EXPECT_EQ(cudaGetDevice(&now), cudaSuccess);
    EXPECT_EQ(now, chosen) << name << " left another GPU current";
  }
};
std::string gpus_name(const testing::TestParamInfo<std::pair<int, int>>& gpus) {
  return "application_" + std::to_string(gpus.param.first) + "_library_" + std::to_string(gpus.param.second);
}
INSTANTIATE_TEST_SUITE_P(Gpus, CurrentGpu, testing::Values(std::pair(1, 0), std::pair(0, 1)), gpus_name);

TEST_P(CurrentGpu, IsAskedForInEachCall) {
  // The library works there first, and must not believe that it still does.
  const Tensor first = random_tensor({10}, 1, device);
  cudaSetDevice(chosen);
  const Tensor second = Tensor::empty({1'000'003}, DType::f32, device);
  EXPECT_EQ(gpu_of(second), device.index);
  cudaSetDevice(chosen);
  Stream stream(device);
  Tensor y = Tensor::empty(first.shape(), DType::f32, device);
  kernels::activation(first, {Activation::relu}, y, stream);
  EXPECT_EQ(values(y), values(combine(first, first, [](float a, float) { return a > 0 ? a : 0; })));
}

TEST_P(CurrentGpu, IsTheApplicationsAfterCallsOnTensors) {
  const Tensor host = random_tensor({3, 4, 2, 2}, 1);
  Tensor x, y, there;
  call("Device::require", [&] { device.require(); });
  call("Device::best", [] { Device::best(); });
  call("Tensor::empty", [&] { y = Tensor::empty(host.shape(), DType::f32, device); });
  call("Tensor::zeros", [&] { x = Tensor::zeros(host.shape(), DType::f32, device); });
  call("Tensor::randn", [&] { x = Tensor::randn(host.shape(), 1, device); });
  call("Tensor::to", [&] { x = host.to(device); });
  call("Tensor::to another GPU", [&] { there = x.to(other); });
  EXPECT_EQ(gpu_of(there), other.index);
  call("Tensor::to the CPU", [&] { EXPECT_EQ(values(there.to(Device::cpu())), values(host)); });
  call("Tensor::clone", [&] { y = x.clone(); });
  EXPECT_EQ(gpu_of(y), device.index);
  call("Tensor::copy_from", [&] { y.copy_from(there); });
  call("Tensor::item", [&] { Tensor::full({}, 1, device).item(); });
  std::optional<Stream> stream;
  call("Stream", [&] { stream.emplace(device); });
  call("relu", [&] { kernels::activation(x, {Activation::relu}, y, *stream); });
  call("Stream::native_handle", [&] { EXPECT_NE(stream->native_handle(), nullptr); });
  call("Stream::synchronize", [&] { stream->synchronize(); });
  call("~Tensor", [&] { x = y = there = Tensor(); });
  call("empty_cache", [&] { empty_cache(device); });
}

TEST_P(CurrentGpu, IsTheApplicationsAfterCallsOnModelsAndTrainers) {
  // 33 x 32 channels go to cuDNN; the Linear goes to cuBLASLt.
  Sequential model{Conv2d(33, 32, {.kernel_size = 3}), ReLU(), Flatten(), Linear(32, 700), Linear(700, 3)};
  std::optional<Adam> optimizer;
  std::optional<DataLoader> loader;
  std::optional<Trainer> trainer;
  const TensorDataset data{random_tensor({8, 33, 3, 3}, 1), Tensor::zeros({8}, DType::i32)};
  call("Module::init", [&] { model.init(1); });
  call("Module::to", [&] { model.to(device); });
  call("Module::predict", [&] { model.predict(random_tensor({2, 33, 3, 3}, 1, device)); });
  call("forward and backward", [&] {
    model(random_tensor({2, 33, 3, 3}, 1, device));
    model.backward(random_tensor({2, 3}, 2, device));
  });
  call("Optimizer", [&] { optimizer.emplace(model.parameters()); });
  call("Optimizer::step", [&] { optimizer->step(); });
  call("TensorDataset::to", [&] { loader.emplace(data.to(device), DataLoaderOptions{.batch_size = 4}); });
  call("Trainer", [&] { trainer.emplace(model, *optimizer, *loader); });
  for (int epoch = 0; epoch < 3; ++epoch) {  // call by call, then captured, then replayed
    call("Trainer::start_epoch", [&] { trainer->start_epoch(); });
    bool more = true;
    while (more) call("Trainer::step", [&] { more = trainer->step(); });
    call("Trainer::take", [&] { trainer->take(); });
    call("Trainer::finish", [&] { EXPECT_GT(trainer->finish().images, 0); });
  }
  call("~Trainer", [&] { trainer.reset(); });
  call("Module::set_precision", [&] { model.set_precision(Precision::bf16); });
  call("Module::predict in bf16", [&] { model.predict(random_tensor({2, 33, 3, 3}, 1, device)); });
}

TEST_P(CurrentGpu, IsTheApplicationsAfterWhatFails) {
  call("Tensor::empty without room", [&] { EXPECT_ANY_THROW(Tensor::empty({std::int64_t{1} << 45}, DType::u8, device)); });
  call("Tensor::data", [&] { EXPECT_ANY_THROW(Tensor::empty({2}, DType::f32, device).data<float>()); });
  call("a device that is not there", [] { EXPECT_ANY_THROW(Stream(Device::cuda(7))); });
}

}  // namespace
}  // namespace gpucnn
