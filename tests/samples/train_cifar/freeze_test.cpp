#include "train_cifar/freeze.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/exit_code.h"

using namespace gpucnn;

namespace {

class Freeze : public testing::Test {
 protected:
  std::vector<std::string> learned() {
    std::vector<std::string> names;
    for (const Parameter& parameter : model.parameters()) {
      if (parameter.requires_grad()) names.push_back(parameter.name());
    }
    return names;
  }
  Sequential model{{"features", Sequential{Conv2d(3, 4, {.kernel_size = 3}), BatchNorm2d(4)}},
                   {"classifier", Sequential{Flatten(), Dropout(0.5), Linear(4 * 6 * 6, 2)}}};
};

TEST_F(Freeze, LearnsNothingOfWhatMatches) {
  freeze(model, {"features.0.*", "*.bias"});
  EXPECT_THAT(learned(), testing::ElementsAre("features.1.weight", "classifier.2.weight"));
}

TEST_F(Freeze, KeepsStatisticsOfLayersThatLearnNothing) {
  freeze(model, {"features.*"});
  EXPECT_TRUE(model.at("features.1").frozen());
  EXPECT_TRUE(model.at("features").frozen());
  EXPECT_FALSE(model.at("classifier").frozen());
  EXPECT_THAT(learned(), testing::ElementsAre("classifier.2.weight", "classifier.2.bias"));
}

TEST_F(Freeze, LeavesALayerOfWhichAPartIsLearnedInTrainingMode) {
  freeze(model, {"features.1.weight"});
  EXPECT_FALSE(model.at("features.1").frozen());
}

TEST_F(Freeze, RefusesAPatternWithoutAMatch) {
  const auto message = [this](const char* pattern) {
    try {
      freeze(model, {pattern});
    } catch (const UsageError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(message("feature.*"), testing::HasSubstr("--freeze: 'feature.*' matches no parameter; did you mean features.*?"));
  EXPECT_THAT(message("features.0.wieght"), testing::HasSubstr("did you mean features.0.weight?"));
  EXPECT_THAT(message("backbone"), testing::HasSubstr("there are classifier.*, features.*"));
  EXPECT_EQ(message("*"), "--freeze: leaves nothing to learn");
}

}  // namespace
