#include <gpucnn/layers/module/module.h>

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>

#include "close.h"
#include "layers/layers.h"
#include "layers/module/net.h"
#include "misuse.h"

namespace gpucnn {
namespace {

class ModuleMove : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ModuleMove, devices(), device_name);

TEST_P(ModuleMove, MovesWithItsParametersStateAndKeptValues) {
  Net net;
  net.to(device());
  net.init(2);
  const Tensor x = random_tensor({2, 4}, 1), dy = random_tensor({2, 2}, 2);
  const std::vector<float> y = values(net(x));
  const std::vector<Parameter> parameters = net.parameters();
  Net moved = std::move(net);
  moved.backward(dy);
  EXPECT_TRUE(parameters[0].has_grad());
  EXPECT_EQ(moved.parameters(), parameters);
  EXPECT_EQ(values(moved(x)), y);
  Net assigned;
  assigned.to(device())(x);
  assigned = std::move(moved);
  EXPECT_EQ(values(assigned.predict(x)), y);
  EXPECT_EQ(assigned.parameters(), parameters);
}

/// Every way to use it throws.
template <class Net>
void expect_unusable(Net& net, const Tensor& x) {
  EXPECT_THROW(net.predict(x), std::logic_error);
  EXPECT_THROW(net(x), std::logic_error);
  EXPECT_THROW(net.parameters(), std::logic_error);
  EXPECT_THROW(net.state_dict(), std::logic_error);
  EXPECT_THROW(net.load_state_dict({}), std::logic_error);
  EXPECT_THROW(net.init(1), std::logic_error);
  EXPECT_THROW(net.to(Device::cpu()), std::logic_error);
  EXPECT_THROW(net.device(), std::logic_error);
  EXPECT_THROW(net.eval(), std::logic_error);
  EXPECT_THROW(net.zero_grad(), std::logic_error);
  EXPECT_THROW(net.summary(x.shape()), std::logic_error);
}

TEST_P(ModuleMove, WhatWasMovedFromThrowsUntilSomethingIsMovedIntoIt) {
  for (const bool used : {false, true}) {
    Sequential net{Linear(3, 3), ReLU()};
    net.to(device());
    const Tensor x = random_tensor({2, 3}, 1);
    if (used) net(x);
    Sequential moved = std::move(net);
    expect_unusable(net, x);
    EXPECT_THROW(net.output_shape(x.shape()), std::logic_error);
    EXPECT_THROW(net.backward(x), std::logic_error);
    const std::vector<float> y = values(moved.predict(x));
    net = std::move(moved);
    expect_unusable(moved, x);
    EXPECT_EQ(values(net.predict(x)), y);
    auto& itself = net;
    net = std::move(itself);
    EXPECT_EQ(values(net.predict(x)), y);
  }
}

TEST(Module, MessagesEscapeTheNamesOfLayers) {
  Sequential net{{"a\x1b[31m", Sequential{Linear(3, 2)}}};
  EXPECT_THAT([&] { net.predict(Tensor::zeros({1, 4})); }, misuse("a\\x1b[31m.0 Linear: expects 3 input features"));
  EXPECT_THAT([&] { net.at("x\x1b"); }, misuse("there is no module 'x\\x1b'"));
  EXPECT_THAT(([] { return Sequential{{"b\x1b.", ReLU()}, {"c", ReLU()}}; }), misuse("'b\\x1b.'"));
}

TEST_P(ModuleMove, ALayerThatWasMovedFromThrows) {
  const Tensor x = random_tensor({2, 4}, 1);
  ReLU relu;
  Sequential net{Linear(4, 4), std::move(relu)};
  net.to(device());
  expect_unusable(relu, x);
  EXPECT_THROW((Sequential{Linear(4, 4), std::move(relu)}), std::logic_error);
  net.predict(x);
  ReLU taken = std::move(net.at<ReLU>("1"));
  EXPECT_THROW(net.predict(x), std::logic_error);
  EXPECT_THROW(net(x), std::logic_error);
}

TEST_P(ModuleMove, MovesToADeviceAndBackWithItsHandlesStateAndGradients) {
  Net net;
  const Tensor x = gpucnn::random_tensor({2, 4}, 1), dy = gpucnn::random_tensor({2, 2}, 2);
  const std::vector<double> y = as_doubles(values(net(x))), dx = as_doubles(values(net.backward(dy)));
  const std::vector<double> grads = as_doubles(all_grads(net));
  const std::vector<float> weights = all_values(net);
  const std::vector<Parameter> parameters = net.parameters();

  net.to(device());
  EXPECT_EQ(net.device(), device());
  EXPECT_EQ(net.parameters(), parameters);
  EXPECT_EQ(parameters[0].value().device(), device());
  EXPECT_EQ(net.scale.forwards.device(), device());
  EXPECT_EQ(all_values(net), weights);
  expect_close(all_grads(net), grads, kSameValue);
  net.zero_grad();
  expect_close(values(net(x.to(device()))), y, kSum);
  expect_close(values(net.backward(dy.to(device()))), dx, kSum);
  expect_close(all_grads(net), grads, kSum);
  EXPECT_EQ(net.scale.forwards.item(), 2);

  net.to(Device::cpu()).zero_grad();
  expect_close(values(net(x)), y, kSameValue);
  expect_close(values(net.backward(dy)), dx, kSameValue);
  expect_close(all_grads(net), grads, kSameValue);
}

TEST_P(ModuleMove, RefusesAnInputOnAnotherDevice) {
  if (device().kind == Device::Kind::cpu) return;
  Net net;
  EXPECT_THAT([&] { net(zeros({1, 4})); }, misuse("Net: the input is on cuda:0, the model on cpu"));
  net.to(device());
  EXPECT_THAT([&] { net(Tensor::zeros({1, 4})); }, misuse("Net: the input is on cpu, the model on cuda:0"));
}

}  // namespace
}  // namespace gpucnn
