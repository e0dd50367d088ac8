#include <gpucnn/train/report/line_chart.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/train/report/html_text.h>

namespace gpucnn::report {
namespace {

// In the chart's own units, which the page scales.
constexpr double kWidth = 360, kHeight = 200, kLeft = 52, kRight = 12, kTop = 10, kBottom = 26;
constexpr int kMaxTicks = 5;
constexpr std::size_t kMaxPoints = 2000;  // of a line; of more, every second is drawn, or every third

/// Beyond it there is nothing to see, and sums of two would overflow.
constexpr double kMaxShown = 1e30;

bool is_shown(double value) { return std::abs(value) <= kMaxShown; }  // not NaN

struct Range {
  double low, high, step;  // step: of the ticks, 1, 2 or 5 times a power of ten
};

/// What the axis shows: whole steps around all values.
Range range_of(const std::vector<Series>& series, bool from_zero) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const Series& line : series) {
    for (const double value : line.values) {
      if (!is_shown(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  if (!(low <= high)) low = 0, high = 1;
  if (from_zero) low = std::min(low, 0.0);
  if (low == high) high = low + (low == 0 ? 1 : std::abs(low));
  const double rough = (high - low) / (kMaxTicks - 1), power = std::pow(10, std::floor(std::log10(rough)));
  const double step = power * (rough <= power ? 1 : rough <= 2 * power ? 2 : rough <= 5 * power ? 5 : 10);
  return {std::floor(low / step) * step, std::ceil(high / step) * step, step};
}

double x_of(std::size_t epoch, std::size_t epochs) {
  const double part = epochs > 1 ? static_cast<double>(epoch) / static_cast<double>(epochs - 1) : 0.5;
  return kLeft + part * (kWidth - kLeft - kRight);
}

double y_of(double value, const Range& range) {
  return kTop + (range.high - value) / (range.high - range.low) * (kHeight - kTop - kBottom);
}

/// Digits that tell one tick from the next.
int digits_of(const Range& range) {
  const double largest = std::max(std::abs(range.low), std::abs(range.high));
  return std::max(1, static_cast<int>(std::floor(std::log10(largest))) - static_cast<int>(std::floor(std::log10(range.step))) + 1);
}

std::string axis(const Range& range, std::size_t epochs, const AxisEnds& ends) {
  const int digits = digits_of(range);
  std::string text;
  const auto ticks = static_cast<int>(std::lround((range.high - range.low) / range.step));
  for (int i = 0; i <= ticks; ++i) {
    const double value = range.low + i * range.step, y = y_of(value, range);
    text += formatted("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft, kWidth - kRight, y, y);
    text += formatted("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.{}g}</text>", kLeft - 6, y + 4,
                      std::abs(value) < range.step / 2 ? 0.0 : value, digits);
  }
  // In the middle below its point, or to the right of it where that would reach into the other axis.
  const bool is_short = ends.first.size() <= 1;
  text += formatted("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"{}\">{}</text>", x_of(0, epochs), kHeight - 8,
                    is_short ? "middle" : "start", ends.first.empty() ? "1" : html_text(ends.first));
  if (epochs > 1) {
    text += formatted("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"end\">{}</text>", kWidth - kRight, kHeight - 8,
                      ends.last.empty() ? formatted("epoch {}", epochs) : html_text(ends.last));
  }
  return text;
}

/// One path for each run of numbers that are shown; a number alone is a dot.
std::string line(const Series& series, std::size_t number, const Range& range) {
  std::string path, dots;
  bool pen_down = false;
  const std::size_t stride = (series.values.size() + kMaxPoints - 1) / kMaxPoints;
  for (std::size_t i = 0; i < series.values.size(); i += stride) {
    const double value = series.values[i];
    if (!is_shown(value)) {
      pen_down = false;
      continue;
    }
    const double x = x_of(i, series.values.size()), y = y_of(value, range);
    path += formatted("{}{:.1f} {:.1f}", pen_down ? "L" : "M", x, y);
    const bool alone = !pen_down && (i + stride >= series.values.size() || !is_shown(series.values[i + stride]));
    if (alone) dots += formatted("<circle class=\"dot{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>", number, x, y);
    pen_down = true;
  }
  return formatted("<path class=\"line{}\" d=\"{}\"/>{}", number, path, dots);
}

}  // namespace

std::string line_chart(const std::vector<Series>& series, const std::string& summary, bool from_zero, const AxisEnds& ends) {
  const Range range = range_of(series, from_zero);
  const std::size_t epochs = series.empty() ? 0 : series.front().values.size();
  std::string svg = formatted("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">", kWidth, kHeight, html_text(summary));
  svg += axis(range, epochs, ends);
  for (std::size_t i = 0; i < series.size(); ++i) svg += line(series[i], i, range);
  return svg + "</svg>";
}

}  // namespace gpucnn::report
