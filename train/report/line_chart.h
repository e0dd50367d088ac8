#pragma once

#include <string>
#include <vector>

namespace gpucnn::report {

/// A line of a chart, a number for each epoch; one that is not finite, or beyond 1e30, leaves a gap.
struct Series {
  std::string name;
  std::vector<double> values;
};

/// What stands below the first value and the last; empty: the numbers of epochs.
struct AxisEnds {
  std::string first, last;
};

/// A chart of one or two lines over the epochs, as an <svg> that fills the width it is given. Its colours are the style sheet's
/// classes "line0" and "line1"; the second line is dashed, so that they can be told apart without colours. Screen readers are told
/// `summary`.
std::string line_chart(const std::vector<Series>& series, const std::string& summary, bool from_zero, const AxisEnds& ends = {});

}  // namespace gpucnn::report
