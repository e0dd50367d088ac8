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

std::string hint(const std::vector<std::string>& own, const std::vector<std::string>& given) {
  return prefix_hint(own, given, /*has_strict=*/true);
}

std::string whole_hint(const std::vector<std::string>& own, const std::vector<std::string>& given) {
  return prefix_hint(own, given, /*has_strict=*/false);
}

TEST(PrefixHint, NamesThePrefixThatIsTooMuch) {
  for (const char* prefix : {"module.", "model.", "_orig_mod.", "module._orig_mod.", "backbone.body."}) {
    const std::string expected = std::string("the names fit after without_prefix(\"") + prefix + "\")";
    EXPECT_EQ(hint(kOwn, behind(prefix)), expected);
    EXPECT_EQ(whole_hint(kOwn, behind(prefix)), expected);
  }
}

TEST(PrefixHint, NamesThePrefixThatIsMissing) {
  EXPECT_EQ(hint(behind("model."), kOwn), "the names fit after with_prefix(\"model.\")");
  EXPECT_EQ(whole_hint(behind("model."), kOwn), "the names fit after with_prefix(\"model.\")");
}

TEST(PrefixHint, SaysWhenNamesAreLeftOver) {
  std::vector<std::string> average = behind("module.");
  average.insert(average.begin(), "n_averaged");
  EXPECT_EQ(hint(kOwn, average), "the names fit after without_prefix(\"module.\") with strict = false");
  EXPECT_EQ(hint({"fc.0.weight", "fc.2.weight", "features.0.weight", "features.1.weight"}, {"0.weight", "1.weight"}),
            "2 of 4 names fit after with_prefix(\"features.\") with strict = false");
}

TEST(PrefixHint, SaysHowManyNamesFitWhereSomeAreMissing) {
  const std::vector<std::string> encoder = behind("encoder.", {"conv1.weight", "layer1.0.conv1.weight"});
  EXPECT_EQ(hint(kOwn, encoder), "2 of 4 names fit after without_prefix(\"encoder.\") with strict = false");
  std::vector<std::string> other_head = encoder;
  other_head.insert(other_head.begin(), "head.weight");
  EXPECT_EQ(hint(kOwn, other_head), "2 of 4 names fit after without_prefix(\"encoder.\") with strict = false");
  EXPECT_EQ(hint(kOwn, behind("encoder.", {"layer1.0.conv1.weight", "fc.weight", "fc.bias"})),
            "3 of 4 names fit after without_prefix(\"encoder.\") with strict = false")
      << "the first name may be the one that is missing";
  EXPECT_EQ(hint(behind("model."), {"conv1.weight", "fc.weight", "fc.scale"}),
            "2 of 4 names fit after with_prefix(\"model.\") with strict = false");
  EXPECT_EQ(hint(behind("model."), {"conv1.weight"}), "1 of 4 names fit after with_prefix(\"model.\") with strict = false")
      << "all that are given fit";
  EXPECT_EQ(hint(kOwn, {"encoder.conv1.weight", "encoder.fc.scale"}), "") << "too few fit";
}

TEST(PrefixHint, RecommendsNothingThatNeedsStrictWhereThereIsNone) {
  std::vector<std::string> average = behind("module.");
  average.insert(average.begin(), "n_averaged");
  EXPECT_EQ(whole_hint(kOwn, average), "");
  EXPECT_EQ(whole_hint(average, kOwn), "");
  EXPECT_EQ(whole_hint(kOwn, behind("encoder.", {"conv1.weight", "layer1.0.conv1.weight"})), "");
}

TEST(PrefixHint, IsSilentWhereNoPrefixHelps) {
  EXPECT_EQ(hint(kOwn, {"conv1.weight", "fc.weight", "fc.scale"}), "") << "what fits, fits without a prefix";
  EXPECT_EQ(hint(kOwn, kOwn), "");
  EXPECT_EQ(hint(kOwn, {}), "");
  EXPECT_EQ(hint({}, kOwn), "");
  EXPECT_EQ(hint({"weight"}, {"my_weight"}), "") << "half a name is no prefix";
  EXPECT_EQ(hint({"weight", "bias"}, {"a.weight", "bias", "a.bias"}), "") << "two names would become one";
}

TEST(PrefixHint, QuotesWhatAFileHoldsSafely) {
  EXPECT_EQ(hint({"weight"}, {"\x1b[2J.weight"}), "the names fit after without_prefix(\"\\x1b[2J.\")");
}

}  // namespace
}  // namespace gpucnn
