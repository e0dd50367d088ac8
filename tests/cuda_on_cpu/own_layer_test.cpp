// The layer of samples/own_layer, as a user has it, on the emulator.
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shrink.h"
#include "standins/standin.h"

namespace gpucnn {
namespace {

const Device kGpu = Device::cuda();

/// Knows how often the host called it, which replays do not.
class Counted : public Shrink {
 public:
  Tensor forward(const Tensor& x, Context& context) const override {
    ++forwards;
    return Shrink::forward(x, context);
  }
  mutable int forwards = 0;
};

struct Training {
  explicit Training(Device device)
      : optimizer((model.init(1).to(device), model.parameters())),
        loader(TensorDataset{Tensor::randn({40, 3, 4, 4}, 1), Tensor::zeros({40}, DType::i32)}.to(device), {.batch_size = 10}),
        trainer(model, optimizer, loader) {}
  Sequential model{Conv2d(3, 4, {.kernel_size = 3}), Counted(), Flatten(), Linear(16, 3)};
  SGD optimizer;
  DataLoader loader;
  Trainer trainer;
};

double epoch_of(Trainer& trainer) {
  trainer.start_epoch();
  while (trainer.step()) {
  }
  return trainer.finish().loss();
}

TEST(OwnLayer, ComputesTheSameBitsOnAGpuAsOnTheCpu) {
  for (const std::int64_t count : {0, 1, 255, 256, 257, 100'003}) {
    SCOPED_TRACE(count);
    Tensor x = Tensor::randn({count}, 1), dy = Tensor::randn({count}, 2);
    if (count > 2) x.data<float>()[1] = std::numeric_limits<float>::quiet_NaN(), x.data<float>()[2] = -0.0F;
    const auto results = [&](Device device) {
      Shrink layer(0.25F);
      layer.to(device);
      const Tensor y = layer(x.to(device)), dx = layer.backward(dy.to(device));
      return std::pair(y.to(Device::cpu()), dx.to(Device::cpu()));
    };
    const auto [y, dx] = results(Device::cpu());
    const auto [gpu_y, gpu_dx] = results(kGpu);
    EXPECT_EQ(std::memcmp(y.bytes(), gpu_y.bytes(), y.nbytes()), 0);
    EXPECT_EQ(std::memcmp(dx.bytes(), gpu_dx.bytes(), dx.nbytes()), 0);
    for (std::int64_t i = 0; i < count; ++i) {
      const float value = x.data<float>()[i];
      const float expected = std::abs(value) <= 0.25F ? 0 : value;
      ASSERT_TRUE(y.data<float>()[i] == expected || (i == 1 && std::isnan(y.data<float>()[i]) && std::isnan(value))) << i;
    }
  }
}

TEST(OwnLayer, IsPartOfTheCapturedStep) {
  Training gpu(kGpu), cpu(Device::cpu());
  for (int epoch = 0; epoch < 4; ++epoch) {
    const gpucnn_standin_calls before = gpucnn_standin_counts();
    EXPECT_NEAR(epoch_of(gpu.trainer), epoch_of(cpu.trainer), 1e-5);
    if (epoch == 0) continue;  // it runs one step call by call and captures the next
    const gpucnn_standin_calls after = gpucnn_standin_counts();
    EXPECT_EQ(after.graph_launches - before.graph_launches, 4);
    EXPECT_EQ(after.synchronisations - before.synchronisations, 1) << "finish waits, and no step does";
  }
  EXPECT_EQ(gpu.model.at<Counted>("1").forwards, 2);
}

TEST(OwnLayer, IsGivenTheStreamOfTheMoment) {
  EXPECT_EQ(Stream().native_handle(), nullptr);
  const Stream one(kGpu), other(kGpu);
  EXPECT_NE(one.native_handle(), nullptr);
  EXPECT_EQ(one.native_handle(), other.native_handle());
}

}  // namespace
}  // namespace gpucnn
