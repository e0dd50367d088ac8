// The gradients of a network of every layer against central differences of the same network in float64.
#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/pool/max_pool2d.h>

#include "close.h"
#include "layers/layers.h"
#include "reference/conv2d.h"
#include "reference/dropout.h"
#include "reference/linear.h"
#include "reference/max_pool2d.h"
#include "reference/numeric_gradient.h"
#include "reference/relu.h"
#include "reference/softmax_cross_entropy.h"

namespace gpucnn {
namespace {

using reference::Values;

const std::vector<std::int32_t> kLabels{2, 0};

/// The loss as a textbook computes it; `weights`: the values of the parameters in order.
double loss_of(const Values& x, const std::vector<Values>& weights) {
  const reference::Conv2d conv{.N = 2, .C = 2, .H = 6, .W = 6, .K = 3, .kernel_size = 3, .padding = 1};
  const reference::MaxPool2d pool{.planes = 6, .H = 6, .W = 6, .kernel_size = 3, .stride = 2};
  Values y = reference::relu(reference::conv2d(conv, x, weights[0], weights[1]));
  y = reference::max_pool2d(pool, y).y;
  y = reference::relu(reference::linear(2, 12, 8, y, weights[2], weights[3]));
  y = reference::dropout(y, 0.5, RandomStream(1, Purpose::dropout, /*place=*/7, /*forward=*/0));
  y = reference::linear(2, 8, 3, y, weights[4], {});
  return reference::softmax_cross_entropy(2, 3, y, kLabels).loss;
}

class NetworkGradient : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, NetworkGradient, devices(), device_name);

TEST_P(NetworkGradient, IsTheNumericOne) {
  Sequential model{Conv2d(2, 3, {.kernel_size = 3, .padding = 1}),
                   ReLU(),
                   MaxPool2d(3, 2),
                   Flatten(),
                   Linear(12, 8),
                   ReLU(),
                   Dropout(0.5),
                   Linear(8, 3, {.bias = false})};
  model.init(1).to(device()).set_input_grad(true);
  const Tensor x = random_tensor({2, 2, 6, 6}, 1);
  CrossEntropyLoss criterion;
  const Tensor loss = criterion(model(x), tensor(kLabels, {2}));
  const Tensor dx = model.backward(criterion.backward());

  const std::vector<Parameter> parameters = model.parameters();
  std::vector<Values> weights;
  for (const Parameter& parameter : parameters) weights.push_back(reference::widen(values(parameter.value())));
  const Values inputs = reference::widen(values(x));
  expect_close(values(loss), Values{loss_of(inputs, weights)}, kPointwise);
  expect_close(values(dx), reference::numeric_gradient([&](const Values& v) { return loss_of(v, weights); }, inputs), kGoldenPass);
  ASSERT_EQ(parameters.size(), 5U);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    SCOPED_TRACE(parameters[i].name());
    const auto loss_with = [&](const Values& v) {
      std::vector<Values> changed = weights;
      changed[i] = v;
      return loss_of(inputs, changed);
    };
    expect_close(values(parameters[i].grad()), reference::numeric_gradient(loss_with, weights[i]), kGoldenPass);
  }
}

}  // namespace
}  // namespace gpucnn
