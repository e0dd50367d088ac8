#include <gpucnn/layers/grad_cam.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/models/resnet.h>
#include <gpucnn/models/simple_cnn.h>

#include "golden_case.h"
#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

Sequential plain() {
  return Sequential{
      Sequential{Conv2d(3, 5, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2), Conv2d(5, 7, {.kernel_size = 3}), ReLU()},
      Sequential{Flatten(), Dropout(0.5), Linear(7 * 3 * 5, 4)}};
}

Sequential normalized() {
  return Sequential{Conv2d(3, 6, {.kernel_size = 3, .stride = 2, .bias = false}),
                    BatchNorm2d(6),
                    ReLU(),
                    Residual(Sequential{Conv2d(6, 6, {.kernel_size = 3, .padding = 1, .bias = false}), BatchNorm2d(6)}),
                    AdaptiveAvgPool2d(1),
                    Flatten(),
                    Linear(6, 4)};
}

class GradCam : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, GradCam, devices(), device_name);

TEST_P(GradCam, IsPyTorchs) {
  const std::vector<GoldenCase> cases = golden_cases("grad_cam", "grad_cam");
  ASSERT_EQ(cases.size(), 12U);
  for (const GoldenCase& recorded : cases) {
    SCOPED_TRACE(recorded.name);
    Sequential model = recorded.options.at("network") == "plain" ? plain() : normalized();
    model.load_state_dict(recorded.with_prefix("state."));
    model.to(device());
    const Tensor x = recorded.at("x", device());
    const std::vector<std::int64_t> classes = recorded.at("classes").to_vector<std::int64_t>();
    const Tensor map = grad_cam(model, x, classes, recorded.options.at("layer").get<std::string>());
    expect_golden(map, recorded.at("map"), "map");
    expect_golden(upsampled_map(map, x.shape()[2], x.shape()[3]), recorded.at("upsampled"), "upsampled map", kGoldenPass);
    EXPECT_EQ(values(grad_cam(model, x, classes, recorded.options.at("layer").get<std::string>())), values(map))
        << "the same again";
  }
}

TEST_P(GradCam, LeavesTheModelAsItWas) {
  Sequential model = normalized();
  model.init(3).to(device());
  model.at("2").eval();
  model.at("6").requires_grad(false);
  const Tensor x = random_tensor({4, 3, 9, 9}, 1), dy = random_tensor({4, 4}, 2);
  model(x);
  model.backward(dy);
  const std::vector<float> before = all_values(model), mean = values(model.buffers().front());
  const Tensor gradient = model.parameters().front().grad().clone();
  const std::uint64_t step = model.random_step();
  grad_cam(model, x, 1, "3");
  EXPECT_EQ(all_values(model), before);
  EXPECT_EQ(values(model.buffers().front()), mean);
  EXPECT_EQ(values(model.parameters().front().grad()), values(gradient));
  EXPECT_EQ(model.random_step(), step);
  EXPECT_TRUE(model.training());
  EXPECT_TRUE(model.at("1").training());
  EXPECT_FALSE(model.at("2").training());
  EXPECT_FALSE(model.input_grad());
  EXPECT_FALSE(model.has_hooks());
  EXPECT_TRUE(model.parameters().front().requires_grad());
  EXPECT_FALSE(model.parameters().back().requires_grad());
  model(x);
  EXPECT_FALSE(model.backward(dy).defined()) << "a network's input needs no gradient again";
}

TEST_P(GradCam, SaysWhatDoesNotFit) {
  Sequential model = plain();
  model.init(1).to(device());
  const Tensor x = random_tensor({2, 3, 10, 14}, 1);
  EXPECT_THAT([&] { grad_cam(model, x, 4, "0.1"); }, misuse("grad_cam: class 4 is not one of 0 to 3"));
  EXPECT_THAT([&] { grad_cam(model, x, -1, "0.1"); }, misuse("class -1 is not one of 0 to 3"));
  EXPECT_THAT([&] { grad_cam(model, x, std::vector<std::int64_t>{1}, "0.1"); },
              misuse("got 1 classes for images of [2, 3, 10, 14]"));
  EXPECT_THAT([&] { grad_cam(model, x, 1, "1.2"); }, misuse("expects a layer that makes [N, K, h, w]; 1.2 Linear makes [2, 4]"));
  EXPECT_THAT([&] { grad_cam(model, x, 1, "0.9"); }, misuse("0.9"));
  EXPECT_THAT([&] { grad_cam(model, random_tensor({2, 4, 10, 14}, 1), 1, "0.1"); }, misuse("0.0 Conv2d"));
  EXPECT_FALSE(model.has_hooks());
  EXPECT_TRUE(model.training());
  Sequential maps{Conv2d(3, 2, {.kernel_size = 1})};
  maps.to(device());
  EXPECT_THAT([&] { grad_cam(maps, x, 1, "0"); }, misuse("expects a model that gives [N, classes], got [2, 2, 10, 14]"));
}

TEST_P(GradCam, LetsOthersPredictMeanwhile) {
  Sequential model = plain();
  model.init(1).to(device());
  const Tensor x = random_tensor({2, 3, 10, 14}, 1);
  const std::vector<float> alone = values(model.predict(x)), map = values(grad_cam(model, x, 1, "0.1"));
  std::atomic<bool> ends{false};
  std::atomic<int> wrong{0};
  std::thread other([&] {
    while (!ends) wrong += values(model.predict(x)) != alone ? 1 : 0;
  });
  for (int i = 0; i < 50; ++i) EXPECT_EQ(values(grad_cam(model, x, 1, "0.1")), map);
  ends = true;
  other.join();
  EXPECT_EQ(wrong, 0);
}

TEST_P(GradCam, TakesNoImagesAtAll) {
  Sequential model = plain();
  model.to(device());
  EXPECT_EQ(grad_cam(model, random_tensor({0, 3, 10, 14}, 1), 1, "0.1").shape(), (Shape{0, 10, 14}));
}

TEST(UpsampledMap, KeepsZerosAndNaN) {
  EXPECT_EQ(values(upsampled_map(Tensor::zeros({1, 2, 2}), 3, 3)), std::vector<float>(9));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(values(upsampled_map(Tensor::full({1, 1, 1}, nan), 2, 2)).front()));
  EXPECT_THAT([] { upsampled_map(Tensor::zeros({2, 2}), 3, 3); }, misuse("expects an f32 map [N, h, w]"));
  EXPECT_THAT([] { upsampled_map(Tensor::zeros({1, 2, 2}), 0, 3); }, misuse("sizes of at least 1"));
}

TEST(LastMapLayer, IsTheOneBeforePointsOrRows) {
  SimpleCNN simple(10);
  EXPECT_EQ(last_map_layer(simple, {1, 3, 32, 32}), "features.5");
  Sequential resnet = resnet18();
  EXPECT_EQ(last_map_layer(resnet, {1, 3, 64, 64}), "layer4.1");
  Sequential linear{Flatten(), Linear(12, 2)};
  EXPECT_THAT([&] { last_map_layer(linear, {1, 3, 2, 2}); }, misuse("no layer of Sequential makes maps"));
}

}  // namespace
}  // namespace gpucnn
