#include <gpucnn/optim/rmsprop.h>

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "misuse.h"
#include "optim/parameters.h"

// Its steps are held against PyTorch's by optimizers_golden_test.cpp.
namespace gpucnn {
namespace {

TEST(RMSprop, HasPyTorchsDefaults) {
  const RMSpropOptions options;
  EXPECT_EQ(options.lr, 1e-2);
  EXPECT_EQ(options.alpha, 0.99);
  EXPECT_EQ(options.eps, 1e-8);
  EXPECT_EQ(options.weight_decay, 0);
  EXPECT_EQ(options.momentum, 0);
  EXPECT_FALSE(options.centered || options.maximize);
  EXPECT_EQ(RMSprop(packed({{1}})).lr(), 1e-2);
}

TEST(RMSprop, KeepsOnlyWhatItsGroupsNeed) {
  const std::vector<Parameter> p = packed({{2}, {3}});
  EXPECT_EQ(RMSprop(p).state_dict().size(), 4U) << "square_avg and step";
  EXPECT_FALSE(RMSprop(p).has_momentum());
  const RMSprop both({{{p[0]}, {.centered = true}}, {{p[1]}, {.momentum = 0.9}}});
  EXPECT_TRUE(both.state_dict().contains("grad_avg.0"));
  EXPECT_FALSE(both.state_dict().contains("grad_avg.1"));
  EXPECT_TRUE(both.state_dict().contains("momentum_buffer.0") && both.state_dict().contains("momentum_buffer.1"))
      << "a schedule may give the other group a momentum";
  EXPECT_EQ(both.momentum(1), 0.9);
}

TEST(RMSprop, RefusesOptionsOutOfTheirBounds) {
  const auto make = [](RMSpropOptions options) { return [=] { RMSprop(packed({{1}}), options); }; };
  EXPECT_THAT(make({.lr = -1}), misuse("Optimizer: invalid lr: -1, must be finite in f32 and not negative"));
  EXPECT_THAT(make({.alpha = 1.5}), misuse("Optimizer: invalid alpha: 1.5, must be in [0, 1]"));
  EXPECT_THAT(make({.alpha = -0.5}), misuse("Optimizer: invalid alpha: -0.5, must be in [0, 1]"));
  EXPECT_THAT(make({.eps = -1e-8}), misuse("Optimizer: invalid eps: -1e-08, must be finite in f32 and not negative"));
  EXPECT_THAT(make({.weight_decay = -1}), misuse("Optimizer: invalid weight_decay: -1, must be"));
  EXPECT_THAT(make({.momentum = -1}), misuse("Optimizer: invalid momentum: -1, must be"));
  EXPECT_NO_THROW(make({.lr = 0, .alpha = 1, .eps = 0})());
}

}  // namespace
}  // namespace gpucnn
