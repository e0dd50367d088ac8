#include <algorithm>
#include <optional>
#include <stdexcept>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/io/onnx/import/graph_reader.h>
#include <gpucnn/kernels/pool/max_pool2d.h>

/// Nodes that pool or enlarge images. https://github.com/onnx/onnx/blob/main/docs/Operators.md
namespace gpucnn::onnx {
namespace {

Size2 pair(const GraphReader& from, std::string_view name, Size2 otherwise) {
  const std::vector<std::int64_t> two = from.integers(name, {otherwise.height, otherwise.width});
  from.require(two.size() == 2, formatted("{} of 2 numbers", name), formatted("{}", two.size()));
  return {from.narrow(two[0]), from.narrow(two[1])};
}

/// Windows that begin in the image or before it, and of which the last may go beyond the padding behind it: `ceil_mode` of the
/// layers. Whether these are the windows with this padding behind the image.
bool is_ceil_mode(const kernels::Pool2d& window, const Shape& x, const std::vector<std::int64_t>& pads) {
  const auto count = [](std::int64_t size, std::int64_t padding, std::int64_t kernel, std::int64_t dilation, std::int64_t stride) {
    return (size + padding - (kernel - 1) * dilation - 1) / stride + 1;
  };
  kernels::Pool2d ceil = window;
  ceil.ceil_mode = true;
  std::optional<Shape> y;
  try {
    y = kernels::max_pool2d_shape(x, ceil);
  } catch (const std::invalid_argument&) {  // no window fits
    return false;
  }
  const Size2 kernel = window.kernel_size, dilation = window.dilation, stride = window.stride;
  return count(x[2], pads[0] + pads[2], kernel.height, dilation.height, stride.height) == (*y)[2] &&
         count(x[3], pads[1] + pads[3], kernel.width, dilation.width, stride.width) == (*y)[3];
}

void read_window(GraphReader& from, bool is_max) {
  const int x = from.value(0);
  const std::string_view mode = from.text("auto_pad", "NOTSET");
  from.require(mode == "NOTSET" || mode == "VALID", "auto_pad NOTSET or VALID", "another");
  from.require(from.has("kernel_shape"), "a kernel_shape", "none");
  kernels::Pool2d window{pair(from, "kernel_shape", 1), pair(from, "strides", 1)};
  const std::vector<std::int64_t> pads = from.integers("pads", {0, 0, 0, 0});
  from.require(pads.size() == 4, "pads of 4 numbers", formatted("{}", pads.size()));
  window.padding = {from.narrow(pads[0]), from.narrow(pads[1])};
  window.dilation = pair(from, "dilations", 1);
  window.ceil_mode = from.integer("ceil_mode", 0) != 0;
  from.require(mode == "NOTSET" || (window.padding == Size2{0} && pads[2] == 0 && pads[3] == 0 && !window.ceil_mode),
               "pads and ceil_mode 0 beside auto_pad VALID", "others");
  const bool counts_padding = !is_max && from.integer("count_include_pad", 0) != 0;
  if (pads[0] != pads[2] || pads[1] != pads[3]) {
    const auto padding = [&](std::size_t i) { return from.narrow(pads[i]); };
    const bool is_sane = window.stride.height > 0 && window.stride.width > 0 && padding(2) >= 0 && padding(3) >= 0;
    from.require(is_sane && !window.ceil_mode && !counts_padding && is_ceil_mode(window, from.shape(x), pads),
                 "the same padding on both sides of a pooling", "another behind the image");
    window.ceil_mode = true;
  }
  if (is_max) return from.add(op::MaxPool2d{window}, {x});
  from.require(window.dilation == Size2{1}, "an average without dilation", "one with");
  from.add(op::AvgPool2d{{window.kernel_size, window.stride, window.padding, window.ceil_mode, counts_padding}}, {x});
}

/// The mean or the maximum of whole images, with the dimensions kept or left out.
void read_reduction(GraphReader& from, const Op& whole) {
  const int x = from.value(0);
  const std::int64_t rank = from.shape(x).rank();
  std::vector<std::int64_t> axes = from.has_input(1) ? from.sizes(1).numbers : from.integers("axes", {});
  for (std::int64_t& axis : axes) axis += axis < 0 ? rank : 0;
  std::ranges::sort(axes);
  from.require(rank == 4 && axes == std::vector<std::int64_t>{2, 3}, "a reduction over the axes 2 and 3 of images", "another");
  if (from.integer("keepdims", 1) != 0) return from.add(whole, {x});
  const int reduced = from.append(whole, {x}, from.node());
  from.add(op::Flatten{}, {reduced});
}

/// Whether each element of an image becomes a block of equal ones, where factors are whole: which element a new one is a copy of is
/// rounded differently by mode.
bool copies_blocks(const GraphReader& from) {
  const std::string_view where = from.text("coordinate_transformation_mode", "half_pixel");
  const std::string_view rounding = from.text("nearest_mode", "round_prefer_floor");
  if (where == "asymmetric") return rounding == "floor";
  return (where == "half_pixel" || where == "pytorch_half_pixel") && rounding.starts_with("round_prefer");
}

void read_resize(GraphReader& from, bool is_upsample) {
  const int x = from.value(0);
  const Shape& shape = from.shape(x);
  from.require(shape.rank() == 4 && from.text("mode", "nearest") == "nearest" && (is_upsample || copies_blocks(from)),
               "mode \"nearest\" of images, which copies each pixel", "another");
  from.require(!from.has("axes") || from.integers("axes", {}) == std::vector<std::int64_t>{0, 1, 2, 3}, "factors of all axes",
               "of others");
  from.require(from.text("keep_aspect_ratio_policy", "stretch") == "stretch", "keep_aspect_ratio_policy \"stretch\"", "another");
  std::vector<double> factors;
  const std::size_t scales = is_upsample ? 1 : 2;
  if (from.has_input(3)) {
    const std::vector<std::int64_t> sizes = from.sizes(3).numbers;
    from.require(sizes.size() == 4, "sizes of 4 numbers", formatted("{}", sizes.size()));
    factors = {1, 1, static_cast<double>(sizes[2]) / static_cast<double>(shape[2]),
               static_cast<double>(sizes[3]) / static_cast<double>(shape[3])};
    const bool keeps_images = sizes[0] == kBatch || (sizes[0] > 0 && sizes[0] == from.batch());
    from.require(keeps_images && sizes[1] == shape[1], "the same number of images and channels", "others");
  } else {
    for (const float factor : from.tensor(scales).to_vector<float>()) factors.push_back(double{factor});
  }
  const auto is_whole = [](double factor) {
    return factor >= 1 && factor <= 65536 && factor == static_cast<double>(static_cast<int>(factor));
  };
  from.require(factors.size() == 4 && factors[0] == 1 && factors[1] == 1 && is_whole(factors[2]) && is_whole(factors[3]),
               "whole factors of height and width", "others");
  from.add(op::Upsample{{static_cast<int>(factors[2]), static_cast<int>(factors[3])}}, {x});
}

}  // namespace

bool read_pool(std::string_view type, GraphReader& from) {
  if (type == "MaxPool") return read_window(from, true), true;
  if (type == "AveragePool") return read_window(from, false), true;
  if (type == "GlobalAveragePool") return from.add(op::AdaptiveAvgPool2d{1}, {from.value(0)}), true;
  if (type == "GlobalMaxPool") return from.add(op::AdaptiveMaxPool2d{1}, {from.value(0)}), true;
  if (type == "ReduceMean") return read_reduction(from, op::AdaptiveAvgPool2d{1}), true;
  if (type == "ReduceMax") return read_reduction(from, op::AdaptiveMaxPool2d{1}), true;
  if (type == "Resize") return read_resize(from, false), true;
  if (type == "Upsample") return read_resize(from, true), true;
  return false;
}

}  // namespace gpucnn::onnx
