#include <gpucnn/core/text/prefix_hint.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace gpucnn {
namespace {

const std::vector<std::string> kOwn{"conv1.weight", "layer1.0.conv1.weight", "fc.weight", "fc.bias"};

std::vector<std::string> behind(const std::string& prefix, std::vector<std::string> names = kOwn) {
  for (std::string& name : names) name.insert(0, prefix);
  return names;
}

TEST(PrefixHint, NamesThePrefixThatIsTooMuch) {
  for (const char* prefix : {"module.", "model.", "_orig_mod.", "module._orig_mod.", "backbone.body."}) {
    EXPECT_EQ(prefix_hint(kOwn, behind(prefix)), std::string("the names fit after without_prefix(\"") + prefix + "\")");
  }
}

TEST(PrefixHint, NamesThePrefixThatIsMissing) {
  EXPECT_EQ(prefix_hint(behind("model."), kOwn), "the names fit after with_prefix(\"model.\")");
}

TEST(PrefixHint, SaysWhenNamesAreLeftOver) {
  std::vector<std::string> average = behind("module.");
  average.insert(average.begin(), "n_averaged");
  EXPECT_EQ(prefix_hint(kOwn, average), "the names fit after without_prefix(\"module.\") with strict = false");
  EXPECT_EQ(prefix_hint({{"fc.0.weight", "fc.2.weight", "features.0.weight", "features.1.weight"}}, {{"0.weight", "1.weight"}}),
            "the names fit after with_prefix(\"features.\") with strict = false");
}

TEST(PrefixHint, IsSilentWhereNoPrefixHelps) {
  EXPECT_EQ(prefix_hint(kOwn, kOwn), "");
  EXPECT_EQ(prefix_hint(kOwn, {}), "");
  EXPECT_EQ(prefix_hint({}, kOwn), "");
  EXPECT_EQ(prefix_hint(kOwn, {{"module.conv1.weight", "module.fc.weight", "module.fc.bias"}}), "");
  EXPECT_EQ(prefix_hint({{"weight"}}, {{"my_weight"}}), "") << "half a name is no prefix";
  EXPECT_EQ(prefix_hint({{"weight", "bias"}}, {{"a.weight", "bias", "a.bias"}}), "") << "two names would become one";
}

TEST(PrefixHint, QuotesWhatAFileHoldsSafely) {
  EXPECT_EQ(prefix_hint({{"weight"}}, {{"\x1b[2J.weight"}}), "the names fit after without_prefix(\"\\x1b[2J.\")");
}

}  // namespace
}  // namespace gpucnn
