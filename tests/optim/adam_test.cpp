#include <gpucnn/optim/adam.h>

#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "misuse.h"
#include "optim/parameters.h"
#include "reference/adam.h"

namespace gpucnn {
namespace {

using reference::Values;
using reference::widen;

class AdamTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, AdamTest, devices(), device_name);

TEST_P(AdamTest, FollowsTheReference) {
  const AdamOptions all[] = {{}, {.lr = 0.1, .betas = {0.5, 0.7}, .eps = 1e-3}, {.lr = 0.01, .weight_decay = 0.1}};
  for (const AdamOptions& options : all) {
    std::vector<Parameter> parameters = packed({{7, 5}, {33}}, device());
    Adam optimizer(parameters, options);
    std::vector<Values> weight, m, v;
    for (const Parameter& parameter : parameters) {
      weight.push_back(widen(values(parameter)));
      m.emplace_back(weight.back().size());
      v.emplace_back(weight.back().size());
    }
    for (unsigned step = 1; step <= 8; ++step) {
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        set_grad(parameters[i], step);
        const kernels::AdamStep at{.lr = options.lr,
                                   .beta1 = options.betas.first,
                                   .beta2 = options.betas.second,
                                   .eps = options.eps,
                                   .weight_decay = options.weight_decay,
                                   .step = step};
        reference::adam(widen(grads(parameters[i], step)), at, weight[i], m[i], v[i]);
      }
      optimizer.step();
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) expect_close(values(parameters[i]), weight[i], kSum);
  }
}

TEST(Adam, HasPyTorchsDefaults) {
  const AdamOptions options;
  EXPECT_EQ(options.lr, 1e-3);
  EXPECT_EQ(options.betas, std::pair(0.9, 0.999));
  EXPECT_EQ(options.eps, 1e-8);
  EXPECT_EQ(options.weight_decay, 0);
  EXPECT_EQ(Adam(packed({{1}})).lr(), 1e-3);
}

TEST(Adam, RefusesOptionsOutOfTheirBounds) {
  const auto make = [](AdamOptions options) { return [=] { Adam(packed({{1}}), options); }; };
  EXPECT_THAT(make({.betas = {1, 0.9}}), misuse("Optimizer: invalid betas.first: 1"));
  EXPECT_THAT(make({.betas = {-0.1, 0.9}}), misuse("invalid betas.first: -0.1"));
  EXPECT_THAT(make({.betas = {0.9, 1}}), misuse("invalid betas.second: 1"));
  EXPECT_THAT(make({.betas = {0.9, std::nan("")}}), misuse("invalid betas.second: nan"));
  EXPECT_THAT(make({.eps = -1e-8}), misuse("invalid eps: -1e-08"));
  EXPECT_THAT(make({.weight_decay = -1}), misuse("invalid weight_decay: -1"));
  EXPECT_NO_THROW(make({.lr = 0, .betas = {0, 0}, .eps = 0})());
}

}  // namespace
}  // namespace gpucnn
