#include <set>

#include <gtest/gtest.h>

#include "everywhere.h"

namespace gpucnn {
namespace {

TEST(InstructionSets, EachCompiledInIsForcedInTurn) {
  std::set<std::size_t> chosen;
  for (const std::int64_t target : ForcedInstructionSet::all()) {
    const ForcedInstructionSet forced(target);
    chosen.insert(hwy::GetChosenTarget().GetIndex());
  }
  EXPECT_EQ(chosen.size(), ForcedInstructionSet::all().size());
}

TEST(InstructionSets, ThePortableOneIsAmongThem) {
  const auto all = ForcedInstructionSet::all();
  EXPECT_EQ(std::count_if(all.begin(), all.end(), [](auto target) { return (target & (HWY_SCALAR | HWY_EMU128)) != 0; }), 1);
}

TEST(InstructionSets, TheProcessorsOwnIsBackAfterwards) {
  const std::int64_t before = hwy::SupportedTargets();
  { const ForcedInstructionSet forced(ForcedInstructionSet::all().back()); }
  EXPECT_EQ(hwy::SupportedTargets(), before);
}

}  // namespace
}  // namespace gpucnn
