#include <gpucnn/core/state_dict.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpucnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

TEST(StateDict, KeepsTheOrderInWhichEntriesCame) {
  StateDict state;
  EXPECT_TRUE(state.empty());
  for (const char* name : {"features.0.weight", "features.0.bias", "a"}) state.add(name, Tensor::zeros({2}));
  EXPECT_EQ(state.size(), 3U);
  std::string names;
  for (const auto& [name, tensor] : state) names += name + ";";
  EXPECT_EQ(names, "features.0.weight;features.0.bias;a;");
}

TEST(StateDict, FindsByNameAndSharesMemory) {
  StateDict state;
  Tensor bias = Tensor::zeros({3});
  state.add("bias", bias);
  bias.data<float>()[1] = 5;
  EXPECT_EQ(state.at("bias").to_vector<float>(), (std::vector<float>{0, 5, 0}));
  EXPECT_TRUE(state.contains("bias"));
  EXPECT_EQ(state.find("bias")->bytes(), bias.bytes());
  EXPECT_FALSE(state.contains("weight"));
  EXPECT_EQ(state.find("weight"), nullptr);
  EXPECT_THAT([&] { state.at("weight"); }, ThrowsMessage<std::invalid_argument>(HasSubstr("no entry 'weight'")));
}

TEST(StateDict, RefusesANameTwice) {
  StateDict state;
  state.add("bias", Tensor::zeros({3}));
  EXPECT_THAT([&] { state.add("bias", Tensor::zeros({3})); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("already an entry 'bias'")));
  EXPECT_EQ(state.size(), 1U);
}

TEST(StateDict, ANameThatWasLeftOutIsNoEntryAndSaysWhy) {
  StateDict state;
  state.add("module.bias", Tensor::zeros({3}));
  state.leave_out("module.scale", "the file holds it as F4");
  EXPECT_EQ(state.size(), 1U);
  EXPECT_FALSE(state.contains("module.scale"));
  EXPECT_THAT([&] { state.at("module.scale"); },
              ThrowsMessage<std::invalid_argument>("StateDict: 'module.scale' was left out: the file holds it as F4"));
  EXPECT_THAT([&] { state.add("module.scale", Tensor::zeros({1})); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("already an entry 'module.scale'")));
  EXPECT_THAT([&] { state.leave_out("module.bias", ""); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("already an entry 'module.bias'")));
  EXPECT_THAT(state.without_prefix("module.").left_out(), ElementsAre(std::pair("scale", "the file holds it as F4")));
  EXPECT_THAT(state.with_prefix("a.").left_out(), ElementsAre(std::pair("a.module.scale", "the file holds it as F4")));
}

std::vector<std::string> names(const StateDict& state) {
  std::vector<std::string> all;
  for (const auto& [name, tensor] : state) all.push_back(name);
  return all;
}

TEST(StateDict, TakesAPrefixFromTheNamesThatHaveItAndPutsOneBeforeAll) {
  StateDict state;
  for (const char* name : {"module.fc.weight", "n_averaged", "module.module.bias", "module"}) state.add(name, Tensor::zeros({2}));
  const StateDict without = state.without_prefix("module.");
  EXPECT_THAT(names(without), ElementsAre("fc.weight", "n_averaged", "module.bias", "module"));
  EXPECT_EQ(without.at("fc.weight").bytes(), state.at("module.fc.weight").bytes()) << "the tensors are shared";
  EXPECT_THAT(names(without.with_prefix("a.")), ElementsAre("a.fc.weight", "a.n_averaged", "a.module.bias", "a.module"));
  EXPECT_EQ(state.size(), 4U);
  state.add("fc.weight", Tensor::zeros({2}));
  EXPECT_THAT([&] { state.without_prefix("module."); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("already an entry 'fc.weight'")));
}

}  // namespace
}  // namespace gpucnn
