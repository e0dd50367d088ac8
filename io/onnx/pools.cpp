#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/io/onnx/graph_writer.h>

/// What each pooling is in ONNX's operator set 17: https://github.com/onnx/onnx/blob/main/docs/Operators.md
namespace gpucnn::onnx {
namespace {

using Integers = std::vector<std::int64_t>;

/// The windows of a pooling along one side of the image; `extent` counts the elements from the first to the last of a window.
struct Side {
  std::int64_t size, count, extent, stride, padding;

  /// By how many elements the last window goes beyond the padding. Below 0: so many elements are in no window.
  std::int64_t beyond() const { return (count - 1) * stride + extent - (size + 2 * padding); }
  /// The padding behind the image that all windows lie in.
  std::int64_t padding_behind() const { return padding + std::max<std::int64_t>(0, beyond()); }
  /// The windows that operator set 17 counts with ceil_mode: also one that begins in the padding behind the image.
  std::int64_t ceil_count() const { return (size + 2 * padding - extent + stride - 1) / stride + 1; }
};

struct Sides {
  Side rows, columns;

  bool go_beyond() const { return rows.beyond() > 0 || columns.beyond() > 0; }
  /// Whether ceil_mode means the same windows here and there.
  bool agree() const { return rows.ceil_count() == rows.count && columns.ceil_count() == columns.count; }
};

Sides sides_of(const kernels::Pool2d& o, const GraphWriter& to) {
  const auto side = [&](int dim, int kernel_size, int dilation, int stride, int padding) {
    return Side{to.x()[dim], to.y()[dim], std::int64_t{kernel_size - 1} * dilation + 1, stride, padding};
  };
  return {side(2, o.kernel_size.height, o.dilation.height, o.stride.height, o.padding.height),
          side(3, o.kernel_size.width, o.dilation.width, o.stride.width, o.padding.width)};
}

/// kernel_shape, pads, strides and ceil_mode. Where ceil_mode would mean other windows than PyTorch's, the padding behind the image
/// is so large that the last windows fit without it.
Attributes window_attributes(const kernels::Pool2d& o, const Sides& sides) {
  const bool ceil_mode = sides.go_beyond() && sides.agree();
  const Integers behind = ceil_mode || !sides.go_beyond() ? Integers{o.padding.height, o.padding.width}
                                                          : Integers{sides.rows.padding_behind(), sides.columns.padding_behind()};
  return Attributes()
      .integer("ceil_mode", ceil_mode ? 1 : 0)
      .integers("kernel_shape", {o.kernel_size.height, o.kernel_size.width})
      .integers("pads", {o.padding.height, o.padding.width, behind[0], behind[1]})
      .integers("strides", {o.stride.height, o.stride.width});
}

/// What makes the mean of a whole window the sum over its divisor: [1, 1, Ho, Wo].
Tensor divisor_factors(const AvgPool2dOptions& o, const Sides& sides) {
  const auto counted = [&](const Side& side, std::int64_t i) {
    const std::int64_t begin = i * side.stride - side.padding, border = o.count_include_pad ? side.padding : 0;
    return std::min(begin + side.extent, side.size + border) - std::max(begin, -border);
  };
  std::vector<float> factors;
  for (std::int64_t i = 0; i < sides.rows.count; ++i) {
    for (std::int64_t j = 0; j < sides.columns.count; ++j) {
      const std::int64_t count = counted(sides.rows, i) * counted(sides.columns, j);
      const auto divisor = static_cast<double>(o.divisor_override ? *o.divisor_override : count);
      factors.push_back(static_cast<float>(static_cast<double>(sides.rows.extent * sides.columns.extent) / divisor));
    }
  }
  return Tensor::from(factors, {1, 1, sides.rows.count, sides.columns.count});
}

/// An average whose divisors operator set 17 does not have: of an image with zeros around it, times a factor for each window.
void write_divided(const AvgPool2dOptions& o, const Sides& sides, GraphWriter& to) {
  const Side &rows = sides.rows, &columns = sides.columns;
  const Integers pads{0, 0, rows.padding, columns.padding, 0, 0, rows.padding_behind(), columns.padding_behind()};
  const std::string padded = to.step("padded", "Pad", {to.input(), to.integers("pads", pads)});
  const std::string mean = to.step("mean", "AveragePool", {padded},
                                   Attributes()
                                       .integers("kernel_shape", {o.kernel_size.height, o.kernel_size.width})
                                       .integers("strides", {o.stride->height, o.stride->width}));
  to.last("Mul", {mean, to.tensor("factors", divisor_factors(o, sides))});
}

/// Bins of equal size side by side.
bool has_equal_bins(std::int64_t size, std::int64_t count) { return size % count == 0; }

/// One dimension of an adaptive pooling with bins of different sizes: each bin is cut out and reduced, and all are put side by
/// side. Returns the name of the result; "" if it is the node's own output, which the `last` one makes.
std::string reduce_bins(const std::string& x, int axis, std::int64_t size, std::int64_t count, std::string_view reduction,
                        bool last, GraphWriter& to) {
  const char* const name = axis == 2 ? "row" : "column";
  std::vector<std::string> bins;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto part = [&](const char* word) { return formatted("{}{}.{}", name, i, word); };
    const std::int64_t begin = i * size / count, end = ((i + 1) * size + count - 1) / count;
    const std::string cut =
        to.step(part("cut"), "Slice",
                {x, to.integers(part("begin"), {begin}), to.integers(part("end"), {end}), to.integers(part("axis"), {axis})});
    bins.push_back(to.step(part("bin"), reduction, {cut}, Attributes().integers("axes", {axis}).integer("keepdims", 1)));
  }
  const Attributes side_by_side = Attributes().integer("axis", axis);
  if (!last) return to.step(formatted("{}s", name), "Concat", bins, side_by_side);
  to.last("Concat", bins, side_by_side);
  return {};
}

struct AdaptiveWords {
  const char *whole, *windows, *reduction;
};

void write_adaptive(Size2 output_size, const AdaptiveWords& words, GraphWriter& to) {
  const std::int64_t H = to.x()[2], W = to.x()[3], Ho = output_size.height, Wo = output_size.width;
  if (Ho == 1 && Wo == 1) return to.last(words.whole, {to.input()});
  if (has_equal_bins(H, Ho) && has_equal_bins(W, Wo)) {
    const Integers kernel{H / Ho, W / Wo};
    return to.last(words.windows, {to.input()}, Attributes().integers("kernel_shape", kernel).integers("strides", kernel));
  }
  if (has_equal_bins(Ho, H) && has_equal_bins(Wo, W)) {  // a bin is one element
    return write(op::Upsample{{static_cast<int>(Ho / H), static_cast<int>(Wo / W)}}, to);
  }
  if (W == Wo) return static_cast<void>(reduce_bins(to.input(), 2, H, Ho, words.reduction, true, to));
  const std::string rows = H == Ho ? to.input() : reduce_bins(to.input(), 2, H, Ho, words.reduction, false, to);
  reduce_bins(rows, 3, W, Wo, words.reduction, true, to);
}

}  // namespace

void write(const op::MaxPool2d& op, GraphWriter& to) {
  const kernels::Pool2d& o = op.options;
  to.last("MaxPool", {to.input()},
          window_attributes(o, sides_of(o, to)).integers("dilations", {o.dilation.height, o.dilation.width}));
}

void write(const op::AvgPool2d& op, GraphWriter& to) {
  const AvgPool2dOptions& o = op.options;
  const kernels::Pool2d window{o.kernel_size, *o.stride, o.padding, 1, o.ceil_mode};
  const Sides sides = sides_of(window, to);
  const bool counts_padding = o.count_include_pad && o.padding != Size2{0};
  if (!sides.go_beyond() && o.divisor_override) {
    const double elements = static_cast<double>(o.kernel_size.height) * o.kernel_size.width;
    const std::string mean =
        to.step("mean", "AveragePool", {to.input()}, window_attributes(window, sides).integer("count_include_pad", 1));
    to.last("Mul", {mean, to.scalar("factor", elements / *o.divisor_override)});
  } else if (sides.go_beyond() && (o.divisor_override || counts_padding || !sides.agree())) {
    write_divided(o, sides, to);
  } else {
    to.last("AveragePool", {to.input()}, window_attributes(window, sides).integer("count_include_pad", counts_padding ? 1 : 0));
  }
}

void write(const op::AdaptiveAvgPool2d& op, GraphWriter& to) {
  write_adaptive(op.output_size, {"GlobalAveragePool", "AveragePool", "ReduceMean"}, to);
}

void write(const op::AdaptiveMaxPool2d& op, GraphWriter& to) {
  write_adaptive(op.output_size, {"GlobalMaxPool", "MaxPool", "ReduceMax"}, to);
}

}  // namespace gpucnn::onnx
