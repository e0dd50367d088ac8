#include <gpucnn/kernels/conv2d_gemm/correlation.h>

namespace gpucnn::kernels::cpu {
namespace {

/// Whether output o reads input o, and nothing else.
bool is_identity(const Axis& axis, std::int64_t size) {
  return axis.taps == 1 && axis.stride == 1 && axis.origin == 0 && axis.inputs == size && axis.outputs == size && axis.to_step == 1;
}

/// As rows of one pixel, if every output reads the pixel in its place alone: then tasks of any number of pixels can be made.
Correlation flattened(Correlation c) {
  if (!is_identity(c.rows, c.height) || !is_identity(c.columns, c.width)) return c;
  c.height = c.rows.inputs = c.rows.outputs = c.pixels();
  c.width = c.columns.inputs = c.columns.outputs = 1;
  c.N = 1;
  return c;
}

bool reads_padding(const Axis& axis) { return axis.taps > 0 && (axis.first_whole() > 0 || axis.last_whole() < axis.outputs); }

}  // namespace

bool Correlation::is_padded() const { return terms() > 0 && (reads_padding(rows) || reads_padding(columns)); }

bool Correlation::has_small_rows() const {
  constexpr double kMaxFloats = 1 << 24;  // of the rows that as many rows of outputs read as windows are high
  const auto read = [](const Axis& axis, std::int64_t outputs) {
    return static_cast<double>(outputs - 1) * static_cast<double>(axis.stride) +
           static_cast<double>(axis.taps - 1) * static_cast<double>(axis.step) + 1;
  };
  if (columns.outputs > (1 << 20)) return false;
  return !is_padded() || read(rows, rows.taps) * read(columns, columns.outputs) * static_cast<double>(C) <= kMaxFloats;
}

Correlation forward_correlation(const Shape& x, const Shape& y, const Conv2dOptions& o) {
  const Axis rows = forward_axis(x[2], y[2], o.kernel_size.height, o.stride.height, o.padding.top, o.dilation.height);
  const Axis columns = forward_axis(x[3], y[3], o.kernel_size.width, o.stride.width, o.padding.left, o.dilation.width);
  return flattened({x[0], x[1] / o.groups, y[1] / o.groups, o.groups, rows, columns, y[2], y[3]});
}

std::vector<Correlation> gradient_correlations(const Shape& x, const Shape& y, const Conv2dOptions& o) {
  std::vector<Correlation> all;
  for (const Axis& rows : gradient_axes(x[2], y[2], o.kernel_size.height, o.stride.height, o.padding.top, o.dilation.height)) {
    for (const Axis& columns : gradient_axes(x[3], y[3], o.kernel_size.width, o.stride.width, o.padding.left, o.dilation.width)) {
      all.push_back(flattened({x[0], y[1] / o.groups, x[1] / o.groups, o.groups, rows, columns, x[2], x[3]}));
    }
  }
  return all;
}

}  // namespace gpucnn::kernels::cpu
