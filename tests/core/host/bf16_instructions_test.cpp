#include <gpucnn/core/host/bf16_instructions.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include "pretended_bf16.h"

namespace gpucnn {
namespace {

/// What the system says that the first processor has; empty where it tells nothing.
std::set<std::string> flags() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    return {std::istream_iterator<std::string>(words), {}};
  }
  return {};
}

TEST(Bf16Instructions, AreThoseThatTheSystemNames) {
  const std::set<std::string> named = flags();
  EXPECT_EQ(has_bf16_instructions(), named.contains("avx512_bf16") || named.contains("amx_bf16"));
}

TEST(Bf16Instructions, ArePretendedForAWhile) {
  const bool there = has_bf16_instructions();
  for (const bool pretended : {false, true}) {
    const PretendedBf16 for_now(pretended);
    EXPECT_EQ(has_bf16_instructions(), pretended);
  }
  EXPECT_EQ(has_bf16_instructions(), there);
}

}  // namespace
}  // namespace gpucnn
