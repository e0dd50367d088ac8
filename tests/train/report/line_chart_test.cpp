#include <gpucnn/train/report/line_chart.h>

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpucnn::report {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(LineChart, DrawsLinesOverWholeSteps) {
  const std::string svg = line_chart({{"a", {0, 1, 2}}, {"b", {2, 2, 1}}}, "two lines", true);
  EXPECT_THAT(svg, HasSubstr("<path class=\"line0\" d=\"M52.0 174.0L200.0 92.0L348.0 10.0\"/>"));
  EXPECT_THAT(svg, HasSubstr("<path class=\"line1\" d=\"M52.0 10.0L200.0 10.0L348.0 92.0\"/>"));
  EXPECT_THAT(svg, HasSubstr(">0.5</text>"));
  EXPECT_THAT(svg, HasSubstr(">epoch 3</text>"));
  EXPECT_THAT(svg, HasSubstr("role=\"img\" aria-label=\"two lines\""));
}

TEST(LineChart, LeavesGapsForWhatIsNoNumber) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const std::string svg = line_chart({{"a", {1, nan, 0, inf, 1, 0}}}, "gaps", true);
  EXPECT_THAT(svg, HasSubstr("d=\"M52.0 10.0M170.4 174.0M288.8 10.0L348.0 174.0\""));
  EXPECT_THAT(svg, HasSubstr("<circle class=\"dot0\" cx=\"52.0\" cy=\"10.0\""));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(LineChart, HasAnAxisForAnyNumbers) {
  const double large = std::numeric_limits<double>::max(), nan = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& values :
       std::vector<std::vector<double>>{{}, {0}, {0.1}, {-3, -3}, {1e-30, 2e-30}, {-large, large}, {nan}}) {
    for (const bool from_zero : {false, true}) {
      const std::string svg = line_chart({{"a", values}}, "", from_zero);
      EXPECT_THAT(svg, Not(HasSubstr("nan"))) << svg;
      EXPECT_THAT(svg, Not(HasSubstr("inf"))) << svg;
      EXPECT_LT(svg.size(), 3000U);
    }
  }
}

TEST(LineChart, TellsTicksOfANarrowAxisApart) {
  const std::string svg = line_chart({{"a", {0.9981, 0.9989}}}, "", false);
  for (const char* tick : {">0.998<", ">0.9985<", ">0.999<"}) EXPECT_THAT(svg, HasSubstr(tick));
}

TEST(LineChart, DrawsAtMostTwoThousandPointsOfALine) {
  EXPECT_LT(line_chart({{"a", std::vector<double>(100'000, 1.0)}}, "", true).size(), 50'000U);
}

TEST(LineChart, EscapesItsSummary) {
  EXPECT_THAT(line_chart({{"a", {1}}}, "<b>\"", true), HasSubstr("aria-label=\"&lt;b&gt;&quot;\""));
}

}  // namespace
}  // namespace gpucnn::report
