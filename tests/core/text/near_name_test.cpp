#include <gpucnn/core/text/near_name.h>

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace gpucnn {
namespace {

const std::vector<std::string> kNames{"conv1", "bn1", "layer1", "layer2", "downsample", "fc", "0", "10"};

std::string near(std::string_view wanted) {
  const std::string* name = near_name(wanted, kNames);
  return name ? *name : "-";
}

TEST(NearName, FindsWhatDiffersInALetterOrTwo) {
  EXPECT_EQ(near("conv"), "conv1");
  EXPECT_EQ(near("con1"), "conv1");
  EXPECT_EQ(near("convv11"), "conv1");
  EXPECT_EQ(near("layer3"), "layer1") << "the first of equals";
  EXPECT_EQ(near("Layer2"), "layer2");
  EXPECT_EQ(near("down_sampel"), "-") << "three letters";
  EXPECT_EQ(near("downsampel"), "downsample");
}

TEST(NearName, GuessesNothingWhereHalfOfTheNameIsOther) {
  for (const char* name : {"", "1", "7", "f", "gc", "bn9x", "20", "classifier"}) EXPECT_EQ(near(name), "-") << name;
  EXPECT_EQ(near("bn2"), "bn1");
  EXPECT_EQ(near(std::string(100'000, 'a')), "-");
}

}  // namespace
}  // namespace gpucnn
