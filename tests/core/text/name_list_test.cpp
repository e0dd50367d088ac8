#include <gpucnn/core/text/name_list.h>

#include <vector>

#include <gtest/gtest.h>

namespace gpucnn {
namespace {

TEST(NameList, ShowsFiveAndCountsTheRest) {
  std::vector<std::string> names{"a"};
  EXPECT_EQ(list_names(names), "a");
  names = {"a", "b", "c", "d", "e"};
  EXPECT_EQ(list_names(names), "a, b, c, d, e");
  names.emplace_back("f");
  EXPECT_EQ(list_names(names), "a, b, c, d, e and 1 more");
  names.resize(80'000);
  EXPECT_EQ(list_names(names), "a, b, c, d, e and 79,995 more");
}

TEST(NameList, IsPrintableAndShort) {
  const std::vector<std::string> names{"\x1b]0;owned\x07", std::string(1000, 'x')};
  EXPECT_EQ(list_names(names), "\\x1b]0;owned\\x07, " + std::string(kMaxNameBytes, 'x') + "...");
}

}  // namespace
}  // namespace gpucnn
