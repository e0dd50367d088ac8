#include <gpucnn/train/report/style.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <regex>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpucnn::report {
namespace {

using Colour = std::array<double, 3>;  // red, green and blue from 0 to 255

/// The properties "--name:value" of the first rule behind `start`.
std::map<std::string, std::string> properties_behind(const std::string& start) {
  const std::string style = kStyle;
  const std::size_t first = style.find(":root{", style.find(start)), last = style.find('}', first);
  const std::string rule = style.substr(first, last - first);
  const std::regex property("--([a-z]+):([^;]*)");
  std::map<std::string, std::string> found;
  for (std::sregex_iterator it(rule.begin(), rule.end(), property), end; it != end; ++it) found[(*it)[1]] = (*it)[2];
  return found;
}

/// "#rgb", "#rrggbb" or "r g b".
Colour colour_of(std::string text) {
  if (text.at(0) != '#') {
    Colour colour{};
    std::size_t read = 0;
    for (double& part : colour) part = std::stod(text = text.substr(read), &read);
    return colour;
  }
  if (text.size() == 4) text = {'#', text[1], text[1], text[2], text[2], text[3], text[3]};
  const auto part = [&](std::size_t at) { return double{static_cast<double>(std::stoi(text.substr(at, 2), nullptr, 16))}; };
  return {part(1), part(3), part(5)};
}

Colour mixed(const Colour& below, const Colour& above, double opacity) {
  Colour colour{};
  for (std::size_t i = 0; i < 3; ++i) colour[i] = below[i] + (above[i] - below[i]) * opacity;
  return colour;
}

/// WCAG 2.1's relative luminance.
double luminance(const Colour& colour) {
  const auto linear = [](double part) {
    part /= 255;
    return part <= 0.04045 ? part / 12.92 : std::pow((part + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2]);
}

double contrast(const Colour& a, const Colour& b) {
  const auto [darker, lighter] = std::minmax({luminance(a), luminance(b)});
  return (lighter + 0.05) / (darker + 0.05);
}

class StyleTest : public testing::TestWithParam<const char*> {
 protected:
  Colour named(const std::string& name) const { return colour_of(properties_.at(name)); }

  std::map<std::string, std::string> properties_ = properties_behind(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Schemes, StyleTest, testing::Values(":root", "prefers-color-scheme:dark"),
                         [](const auto& scheme) { return std::string(scheme.param) == ":root" ? "light" : "dark"; });

TEST(Contrast, IsThatOfWcag) {
  EXPECT_NEAR(contrast(colour_of("#fff"), colour_of("#000")), 21, 1e-9);
  EXPECT_NEAR(contrast(colour_of("#777777"), colour_of("255 255 255")), 4.48, 0.005);
}

TEST_P(StyleTest, TextCanBeRead) {
  constexpr double kText = 4.5;  // WCAG 2.1, AA
  for (const char* behind : {"page", "card"}) {
    EXPECT_GE(contrast(named("text"), named(behind)), kText) << behind;
    EXPECT_GE(contrast(named("quiet"), named(behind)), kText) << behind;
  }
}

TEST_P(StyleTest, NumbersOfTheMatrixCanBeRead) {
  for (const char* colour : {"right", "wrong"}) {
    for (int level = 0; level <= 10; ++level) {
      const double opacity = level * std::stod(properties_.at("step"));
      EXPECT_GE(contrast(named("text"), mixed(named("page"), named(colour), opacity)), 4.5) << colour << " at level " << level;
    }
  }
}

TEST_P(StyleTest, LinesAndBarsCanBeSeen) {
  constexpr double kGraphics = 3;  // WCAG 2.1, AA
  for (const char* line : {"a", "b"}) {
    for (const char* behind : {"page", "card"})
      EXPECT_GE(contrast(named(line), named(behind)), kGraphics) << line << " on " << behind;
  }
}

}  // namespace
}  // namespace gpucnn::report
