#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/adamw.h>

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
  EXPECT_FALSE(options.amsgrad || options.maximize);
  EXPECT_EQ(Adam(packed({{1}})).lr(), 1e-3);
}

TEST(AdamW, HasPyTorchsDefaults) {
  const AdamWOptions options;
  EXPECT_EQ(options.lr, 1e-3);
  EXPECT_EQ(options.betas, std::pair(0.9, 0.999));
  EXPECT_EQ(options.eps, 1e-8);
  EXPECT_EQ(options.weight_decay, 1e-2);
  EXPECT_FALSE(options.amsgrad || options.maximize);
  EXPECT_EQ(AdamW(packed({{1}})).lr(), 1e-3);
}

TEST(AdamW, RefusesOptionsOutOfTheirBounds) {
  const auto make = [](AdamWOptions options) { return [=] { AdamW(packed({{1}}), options); }; };
  EXPECT_THAT(make({.lr = -1}), misuse("Optimizer: invalid lr: -1, must be finite in f32 and not negative"));
  EXPECT_THAT(make({.betas = {0.9, 1}}), misuse("Optimizer: invalid betas.second: 1, must be in [0, 1)"));
  EXPECT_THAT(make({.weight_decay = -1}), misuse("Optimizer: invalid weight_decay: -1, must be"));
}

TEST_P(AdamTest, OnlyGroupsWithAmsgradKeepTheirMaximum) {
  std::vector<Parameter> parameters = packed({{3}, {4}, {5}}, device()), alone = packed({{3}, {4}, {5}}, device());
  const AdamOptions plain{.lr = 0.1, .betas = {0.5, 0.5}}, amsgrad{.lr = 0.1, .betas = {0.5, 0.5}, .amsgrad = true};
  Adam all({{{parameters[0]}, plain}, {{parameters[1]}, amsgrad}, {{parameters[2]}, plain}});
  Adam first({alone[0]}, plain), second({alone[1]}, amsgrad), third({alone[2]}, plain);
  for (unsigned step = 0; step < 4; ++step) {
    for (std::size_t i = 0; i < 3; ++i) {
      set_grad(parameters[i], step);
      set_grad(alone[i], step);
    }
    all.step();
    for (Adam* each : {&first, &second, &third}) each->step();
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(values(parameters[i]), values(alone[i])) << i;
  const StateDict state = all.state_dict();
  EXPECT_FALSE(state.contains("max_exp_avg_sq.0") || state.contains("max_exp_avg_sq.2"));
  EXPECT_EQ(state.at("max_exp_avg_sq.1").to_vector<float>(), second.state_dict().at("max_exp_avg_sq.1").to_vector<float>());
  EXPECT_NE(state.at("max_exp_avg_sq.1").to_vector<float>(), state.at("exp_avg_sq.1").to_vector<float>());
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
