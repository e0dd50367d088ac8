#include <gpucnn/optim/sgd.h>

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "misuse.h"
#include "optim/parameters.h"
#include "reference/sgd.h"

namespace gpucnn {
namespace {

using reference::Values;
using reference::widen;

class SgdTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, SgdTest, devices(), device_name);

TEST_P(SgdTest, FollowsTheReference) {
  const SGDOptions all[] = {{},
                            {.lr = 0.1, .weight_decay = 0.1},
                            {.lr = 0.1, .momentum = 0.9},
                            {.lr = 0.1, .momentum = 0.9, .dampening = 0.3, .weight_decay = 0.01},
                            {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true},
                            {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.01, .maximize = true}};
  for (const SGDOptions& options : all) {
    std::vector<Parameter> parameters = packed({{7, 5}, {33}}, device());
    SGD optimizer(parameters, options);
    std::vector<Values> weight, velocity;
    for (const Parameter& parameter : parameters) {
      weight.push_back(widen(values(parameter)));
      velocity.emplace_back(weight.back().size());
    }
    for (unsigned step = 1; step <= 6; ++step) {
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        set_grad(parameters[i], step);
        const kernels::SgdStep at{.lr = options.lr,
                                  .momentum = options.momentum,
                                  .dampening = options.dampening,
                                  .weight_decay = options.weight_decay,
                                  .nesterov = options.nesterov,
                                  .first = step == 1,
                                  .maximize = options.maximize};
        reference::sgd(widen(grads(parameters[i], step)), at, weight[i], velocity[i]);
      }
      optimizer.step();
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) expect_close(values(parameters[i]), weight[i], kSum);
  }
}

TEST(SGD, HasPyTorchsDefaults) {
  const SGDOptions options;
  EXPECT_EQ(options.lr, 1e-3);
  EXPECT_EQ(options.momentum, 0);
  EXPECT_EQ(options.dampening, 0);
  EXPECT_EQ(options.weight_decay, 0);
  EXPECT_FALSE(options.nesterov);
}

TEST(SGD, RefusesOptionsOutOfTheirBounds) {
  const auto make = [](SGDOptions options) { return [=] { SGD(packed({{1}}), options); }; };
  EXPECT_THAT(make({.momentum = -0.1}), misuse("Optimizer: invalid momentum: -0.1"));
  EXPECT_THAT(make({.momentum = std::nan("")}), misuse("invalid momentum: nan"));
  EXPECT_THAT(make({.dampening = std::nan("")}), misuse("invalid dampening: nan"));
  EXPECT_THAT(make({.weight_decay = -1}), misuse("invalid weight_decay: -1"));
  EXPECT_THAT(make({.nesterov = true}), misuse("invalid momentum for nesterov: 0, must be above 0"));
  EXPECT_THAT(make({.momentum = 0.9, .dampening = 0.5, .nesterov = true}),
              misuse("invalid dampening for nesterov: 0.5, must be 0"));
}

}  // namespace
}  // namespace gpucnn
