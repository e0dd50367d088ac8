#include "train/layer_makers.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <gpucnn/layers/activation/gelu.h>
#include <gpucnn/layers/activation/hardswish.h>
#include <gpucnn/layers/activation/leaky_relu.h>
#include <gpucnn/layers/activation/mul.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/activation/relu6.h>
#include <gpucnn/layers/activation/sigmoid.h>
#include <gpucnn/layers/activation/silu.h>
#include <gpucnn/layers/activation/softmax.h>
#include <gpucnn/layers/activation/tanh.h>
#include <gpucnn/layers/containers/concat.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/dropout2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/identity.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/norm/group_norm.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/avg_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/layers/pool/upsample.h>

namespace gpucnn {
namespace {

using Made = std::unique_ptr<Module>;

constexpr std::int64_t kMaxActivations = 3'000;  // of one layer
constexpr int kMaxDepth = 2;                     // of containers in containers
/// Sums of whole numbers up to this are exact in f32 on every way to compute them, Winograd's with its quarters too.
constexpr double kExact = 1 << 18;

template <class M>
Made owned(M module) {
  return std::make_unique<M>(std::move(module));
}

int extent(const Shape& x, int dim) { return static_cast<int>(x[dim]); }

// ---- convolutions and linear layers ----------------------------------------------------------------------------------

Made convolution(int C, int K, const Conv2dOptions& options, Draw& draw) {
  draw.add_products(std::int64_t{C / options.groups} * options.kernel_size.height * options.kernel_size.width);
  return owned(Conv2d(C, K, options));
}

Made conv2d(const Shape& x, Draw& draw) {
  const int C = extent(x, 1);
  Conv2dOptions options{.kernel_size = draw.size(1, 4),
                        .stride = draw.chance(60) ? Size2{1} : draw.size(1, 3),
                        .padding = draw.chance(40) ? Size2{0} : draw.size(0, 3),
                        .dilation = draw.chance(70) ? Size2{1} : draw.size(1, 2),
                        .bias = draw.chance(75)};
  if (draw.chance(15)) {
    options.stride = 1;
    options.padding = Padding2d::same;
  } else if (draw.chance(20)) {
    options.padding = Sides{.top = draw.below(3), .bottom = draw.below(3), .left = draw.below(3), .right = draw.below(3)};
  }
  int K = draw.chance(15) ? draw.between(9, 33) : draw.between(1, 8);
  if (draw.chance(20)) {
    options.groups = C;  // depthwise
    K = C * draw.between(1, 2);
  } else if (C % 2 == 0 && draw.chance(20)) {
    options.groups = 2;
    K += K % 2;
  }
  return convolution(C, K, options, draw);
}

/// Of the size of x: what blocks of residual networks are made of.
Made same_conv2d(const Shape& x, Draw& draw) {
  const int C = extent(x, 1), half = draw.below(2);
  return convolution(C, C, {.kernel_size = 1 + 2 * half, .padding = half, .bias = draw.chance(50)}, draw);
}

Made linear(const Shape& x, Draw& draw) {
  draw.add_products(x[1]);
  return owned(Linear(extent(x, 1), draw.chance(20) ? draw.between(20, 70) : draw.between(1, 20), {.bias = draw.chance(75)}));
}

// ---- poolings --------------------------------------------------------------------------------------------------------

Made max_pool2d(const Shape& x, Draw& draw) {
  MaxPool2dOptions options{.kernel_size = draw.size(1, 4),
                           .stride = draw.size(1, 3),
                           .dilation = draw.chance(60) ? Size2{1} : draw.size(1, 3),
                           .ceil_mode = draw.chance(40)};
  // A window of nothing but padding would give -infinity.
  if (std::max(options.dilation.height, options.dilation.width) <= std::min(x[2], x[3])) {
    options.padding = {draw.below(options.kernel_size.height / 2 + 1), draw.below(options.kernel_size.width / 2 + 1)};
  }
  // This window may be computed in one pass with what is before it: then other sums would choose other elements.
  if (options.kernel_size == Size2{2} && options.stride == Size2{2} && draw.known.largest == 0) options.stride = 1;
  return owned(MaxPool2d(options));
}

/// What a Sequential computes in one pass on the CPU.
Made conv2d_relu_max_pool2d(const Shape& x, Draw& draw) {
  std::vector<Made> layers;
  const int K = draw.chance(30) ? draw.between(9, 33) : draw.between(1, 8);
  layers.push_back(convolution(extent(x, 1), K, {.kernel_size = 3, .padding = 1, .bias = draw.chance(75)}, draw));
  if (draw.known.largest == 0) return nullptr;
  draw.known.one_pass = true;
  layers.push_back(owned(ReLU()));
  layers.push_back(owned(MaxPool2d(2)));
  return draw.row(std::move(layers));
}

Made avg_pool2d(const Shape&, Draw& draw) {
  AvgPool2dOptions options{.kernel_size = draw.size(1, 4),
                           .stride = draw.size(1, 3),
                           .ceil_mode = draw.chance(40),
                           .count_include_pad = draw.chance(50)};
  options.padding = {draw.below(options.kernel_size.height / 2 + 1), draw.below(options.kernel_size.width / 2 + 1)};
  if (draw.chance(25)) options.divisor_override = draw.chance(50) ? 3 : -2;
  return owned(AvgPool2d(options));
}

/// Bins may be more than rows, or as many.
template <class Pool>
Made adaptive_pool2d(const Shape&, Draw& draw) {
  return owned(Pool(draw.size(1, 7)));
}

// ---- normalizations --------------------------------------------------------------------------------------------------

Made batch_norm2d(const Shape& x, Draw& draw) {
  if (x[0] * x[2] * x[3] < 2) return nullptr;
  BatchNorm2dOptions options{.affine = draw.chance(70), .track_running_stats = draw.chance(80)};
  if (draw.chance(40)) options.momentum = draw.chance(50) ? std::nullopt : std::optional(0.5);
  if (draw.chance(30)) options.eps = 0.01;
  return owned(BatchNorm2d(extent(x, 1), options));
}

Made group_norm(const Shape& x, Draw& draw) {
  const int C = extent(x, 1);
  return owned(GroupNorm(std::gcd(C, draw.between(1, C)), C, {.affine = draw.chance(70)}));
}

// ---- containers ------------------------------------------------------------------------------------------------------

/// Runs its layers one after the other, and joins none with another.
class OneByOne : public Module {
 public:
  explicit OneByOne(std::vector<Made> layers) : layers_(std::move(layers)) {}
  Shape output_shape(const Shape& x) const override {
    Shape y = x;
    for (const Made& layer : layers_) y = layer->output_shape(y);
    return y;
  }
  Tensor forward(const Tensor& x, Context& context) const override {
    Tensor y = x;
    for (const Made& layer : layers_) y = (*layer)(y, context);
    return y;
  }
  Tensor gradients(const Tensor& dy, Context& context) override {
    Tensor gradient = dy;
    for (std::size_t i = layers_.size(); i-- > 0;) gradient = layers_[i]->backward(gradient, context);
    return gradient;
  }
  void members(Members& m) override {
    for (std::size_t i = 0; i < layers_.size(); ++i) m(std::to_string(i), *layers_[i]);
  }

 protected:
  bool child_input_grad(std::size_t i) const override { return i > 0 || input_grad(); }

 private:
  std::vector<Made> layers_;
};

Made sequential(const Shape& x, Draw& draw) {
  Shape y = x;
  return draw_row(y, draw.between(1, 3), false, draw);
}

Made residual(const Shape& x, Draw& draw) {
  Shape y = x;
  Made body = draw_row(y, draw.between(1, 3), true, draw);
  if (!body) return nullptr;
  draw.known.largest *= 2;
  return owned(Residual(std::move(body)));
}

/// The same with a ReLU behind it, and names that are flat.
Made residual_block(const Shape& x, Draw& draw) {
  Shape y = x;
  Made row = draw_row(y, draw.between(1, 3), true, draw);
  if (!row) return nullptr;
  draw.known.largest *= 2;
  std::vector<Child> body;
  body.emplace_back(std::move(row));
  return owned(ResidualBlock(std::move(body)));
}

/// Layers behind which x is an image of y's size, and of y's channels if `channels` says so; null if x is that.
Made fitted(const Shape& x, const Shape& y, bool channels, Draw& draw) {
  std::vector<Made> layers;
  if (channels && x[1] != y[1]) layers.push_back(convolution(extent(x, 1), extent(y, 1), {.kernel_size = 1}, draw));
  if (x[2] != y[2] || x[3] != y[3]) layers.push_back(owned(AdaptiveMaxPool2d({extent(y, 2), extent(y, 3)})));
  if (layers.empty()) return nullptr;
  return draw.row(std::move(layers));
}

Made residual_with_shortcut(const Shape& x, Draw& draw) {
  const double before = draw.known.largest;
  Shape y = x;
  Made body = draw_row(y, draw.between(1, 3), false, draw);
  if (!body) return nullptr;
  const double largest = std::exchange(draw.known.largest, before);
  Made shortcut = fitted(x, y, true, draw);
  if (!shortcut) shortcut = owned(LeakyReLU(0));  // a ReLU by another name, which keeps whole numbers
  draw.known.largest = largest == 0 || draw.known.largest == 0 ? 0 : largest + draw.known.largest;
  return owned(Residual(std::move(body), std::move(shortcut)));
}

Made concat(const Shape& x, Draw& draw) {
  const double before = draw.known.largest;
  double largest = before;
  Shape y;  // of the first branch
  std::vector<Child> branches;
  for (int i = draw.between(1, 3); i > 0; --i) {
    draw.known.largest = before;
    Shape own = x;
    std::vector<Made> layers;
    layers.push_back(draw_row(own, draw.between(1, 2), false, draw));
    if (!layers[0]) return nullptr;
    if (y.rank() == 0) y = own;
    if (Made to_size = fitted(own, y, false, draw)) layers.push_back(std::move(to_size));
    largest = largest == 0 || draw.known.largest == 0 ? 0 : std::max(largest, draw.known.largest);
    branches.emplace_back(draw.row(std::move(layers)));
  }
  draw.known.largest = largest;
  return owned(Concat(std::move(branches)));
}

// ---- the table -------------------------------------------------------------------------------------------------------

constexpr int kAny = 0, kFeatures = 2, kImages = 4;

template <class M>
Made plain(const Shape&, Draw&) {
  return owned(M());
}

// name, rank of x, weight, whether it keeps whole numbers, how it is made
const LayerMaker kLayerMakers[] = {
    {"Conv2d", kImages, 8, true, conv2d},
    {"Conv2d of the same size", kImages, 8, true, same_conv2d},
    {"Conv2d, ReLU, MaxPool2d", kImages, 16, true, conv2d_relu_max_pool2d},
    {"Linear", kFeatures, 14, true, linear},
    {"ReLU", kAny, 8, true, plain<ReLU>},
    {"ReLU6", kAny, 3, true, plain<ReLU6>},
    {"LeakyReLU", kAny, 3, false, [](const Shape&, Draw& draw) { return owned(LeakyReLU(draw.chance(50) ? 0.01 : -0.5)); }},
    {"GELU", kAny, 2, false, [](const Shape&, Draw& draw) { return owned(GELU(draw.chance(50) ? "none" : "tanh")); }},
    {"SiLU", kAny, 2, false, plain<SiLU>},
    {"Hardswish", kAny, 2, false, plain<Hardswish>},
    {"Sigmoid", kAny, 2, false, plain<Sigmoid>},
    {"Tanh", kAny, 2, false, plain<Tanh>},
    {"Mul", kAny, 2, false, [](const Shape&, Draw& draw) { return owned(Mul(draw.chance(50) ? 0.125 : -1.5)); }},
    {"Softmax", kAny, 2, false, plain<Softmax>},
    {"Identity", kAny, 2, true, plain<Identity>},
    {"MaxPool2d", kImages, 5, true, max_pool2d},
    {"AvgPool2d", kImages, 3, false, avg_pool2d},
    {"AdaptiveAvgPool2d", kImages, 2, false, adaptive_pool2d<AdaptiveAvgPool2d>},
    {"AdaptiveMaxPool2d", kImages, 2, true, adaptive_pool2d<AdaptiveMaxPool2d>},
    {"BatchNorm2d", kImages, 4, false, batch_norm2d},
    {"GroupNorm", kImages, 3, false, group_norm},
    {"Dropout", kAny, 3, false, [](const Shape&, Draw& draw) { return owned(Dropout(0.25 * draw.between(0, 3))); }},
    {"Dropout2d", kImages, 2, false, [](const Shape&, Draw& draw) { return owned(Dropout2d(0.25 * draw.between(0, 3))); }},
    {"Upsample", kImages, 2, true, [](const Shape&, Draw& draw) { return owned(Upsample(draw.size(1, 2))); }},
    {"Flatten", kImages, 3, true, plain<Flatten>},
    {"Sequential", kAny, 3, true, sequential},
    {"Residual", kAny, 4, true, residual},
    {"ResidualBlock", kAny, 3, true, residual_block},
    {"Residual with a shortcut", kImages, 3, true, residual_with_shortcut},
    {"Concat", kImages, 4, true, concat},
};

const LayerMaker& any_maker(Draw& draw) {
  int all = 0;
  for (const LayerMaker& maker : kLayerMakers) all += maker.weight;
  int at = draw.below(all);
  const LayerMaker* maker = kLayerMakers;
  while (at >= maker->weight) at -= (maker++)->weight;
  return *maker;
}

/// y of `layer`, or nothing if it does not take x, or the network shall not have it here.
std::optional<Shape> shape_behind(const Module& layer, const Shape& x, bool keeps_shape, int depth) {
  try {
    const Shape y = layer.output_shape(x);
    const bool fits = keeps_shape ? y == x : depth == 0 || y.rank() == x.rank();
    if (fits && y.numel() <= kMaxActivations) return y;
  } catch (const std::invalid_argument&) {  // its window is larger than the image, or the like
  }
  return std::nullopt;
}

}  // namespace

std::span<const LayerMaker> layer_makers() { return kLayerMakers; }

Draw::Draw(std::uint64_t seed, bool joins, bool whole)
    : known{.largest = whole ? 2.0 : 0.0, .counts = std::vector<int>(std::size(kLayerMakers))}, engine_(seed), joins_(joins) {}

Size2 Draw::size(int least, int most) {
  const int height = between(least, most);
  return {height, chance(50) ? height : between(least, most)};
}

void Draw::add_products(std::int64_t count) {
  known.largest = known.largest == 0 ? 0 : known.largest * static_cast<double>(count) + 1;
  if (known.largest > kExact) known.largest = 0;
}

std::unique_ptr<Module> Draw::row(std::vector<std::unique_ptr<Module>> layers) const {
  if (!joins_) return owned(OneByOne(std::move(layers)));
  std::vector<Child> children;
  for (Made& layer : layers) children.emplace_back(std::move(layer));
  return owned(Sequential(std::move(children)));
}

std::unique_ptr<Module> draw_row(Shape& x, int count, bool keeps_shape, Draw& draw) {
  std::vector<Made> layers;
  const auto wanted = static_cast<std::size_t>(count);
  if (draw.depth > kMaxDepth) return nullptr;
  for (int tries = 0; tries < 20 * count && layers.size() < wanted; ++tries) {
    const LayerMaker& maker = any_maker(draw);
    if (maker.rank != 0 && maker.rank != x.rank()) continue;
    const Draw::Known before = draw.known;
    ++draw.depth;
    Made layer = maker.make(x, draw);
    --draw.depth;
    const std::optional<Shape> y = layer ? shape_behind(*layer, x, keeps_shape, draw.depth) : std::nullopt;
    if (!y) {
      draw.known = before;
      continue;
    }
    ++draw.known.counts[static_cast<std::size_t>(&maker - kLayerMakers)];
    if (!maker.whole) draw.known.largest = 0;
    x = *y;
    layers.push_back(std::move(layer));
  }
  return layers.empty() ? nullptr : draw.row(std::move(layers));
}

}  // namespace gpucnn
