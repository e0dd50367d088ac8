#include "layers/random_network.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/pool/max_pool2d.h>

#include "reference/conv2d.h"
#include "reference/dropout.h"
#include "reference/linear.h"
#include "reference/max_pool2d.h"
#include "reference/relu.h"

namespace gpucnn {
namespace {

using reference::Values;

constexpr std::int64_t kMaxActivations = 6'000, kMaxProducts = 400'000;  // of one layer, so that float64 keeps up
constexpr std::size_t kMaxLayers = 24;                                   // a block has up to 5, what follows the last up to 7

/// Decisions closer than this, relative to the largest value of the layer, may be turned by rounding.
constexpr double kCertain = 2e-5;
/// Sums of integers up to this are exact in f32 on every way to compute them, Winograd's with its quarters too.
constexpr double kExact = 1 << 18;

double largest_of(const Values& values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::isfinite(value) ? std::abs(value) : 0.0);
  return largest;
}

Values absolute(Values values) {
  for (double& value : values) value = std::abs(value);
  return values;
}

reference::Conv2d convolution(const Shape& x, const Shape& y, const Conv2dOptions& o) {
  return {x[0], x[1], x[2], x[3], y[1], o.kernel_size, o.stride, o.padding, o.dilation, o.groups};
}

reference::MaxPool2d pooling(const Shape& x, const kernels::Pool2d& p) {
  return {x[0] * x[1], x[2], x[3], p.kernel_size, p.stride, p.padding};
}

/// Whether the winner of every window is ahead of the others by `margin`, or equal to them.
bool pooled_with_certainty(const reference::MaxPool2d& p, const Values& x, double margin) {
  const Values y = reference::max_pool2d(p, x).y;
  for (std::int64_t plane = 0; plane < p.planes; ++plane) {
    for (std::int64_t i = 0; i < p.Ho(); ++i) {
      for (std::int64_t j = 0; j < p.Wo(); ++j) {
        const double best = y[static_cast<std::size_t>((plane * p.Ho() + i) * p.Wo() + j)];
        for (std::int64_t r = 0; r < p.kernel_size.height; ++r) {
          for (std::int64_t s = 0; s < p.kernel_size.width; ++s) {
            const std::int64_t h = i * p.stride.height - p.padding.height + r, w = j * p.stride.width - p.padding.width + s;
            if (h < 0 || h >= p.H || w < 0 || w >= p.W) continue;
            const double behind = best - x[static_cast<std::size_t>((plane * p.H + h) * p.W + w)];
            if (behind > 0 && behind < margin) return false;
          }
        }
      }
    }
  }
  return true;
}

}  // namespace

RandomNetwork::RandomNetwork(std::uint64_t seed)
    : engine_(seed), numbers_(one_of({Numbers::real, Numbers::exact, Numbers::special})) {
  // 2^-143 leaves the bits that Winograd's quarters and a dropout's factor need above the least subnormal.
  if (numbers_ == Numbers::exact) unit_ = one_of({1.0F, 1.0F, 0x1p-143F, 0x1p-130F, 0x1p+60F});
  const auto extent = [this] { return std::int64_t{chance(50) ? 1 + below(9) : 1 + below(33)}; };
  do {
    x_shape_ = {one_of<std::int64_t>({1, 2, 3, 4, 5, 7, 17, 33}), chance(30) ? 8 + below(26) : 1 + below(8), extent(), extent()};
  } while (x_shape_.numel() > kMaxActivations);
  for (int block = below(4); block >= 0 && layers_.size() + 5 + 7 <= kMaxLayers; --block) {
    const bool joinable = chance(60);
    bool conv = chance(90) && add_conv2d(joinable);
    if (conv && chance(20)) conv = add_conv2d(false);
    if (chance(joinable ? 95 : 60)) add({.kind = Kind::relu, .x = y_shape(), .y = y_shape()});
    if (chance(joinable ? 95 : 40)) add_max_pool2d(joinable);
    if (chance(15)) add_dropout();
  }
  if (chance(85)) {
    const Shape image = y_shape();
    split_ = chance(60) ? layers_.size() : 0;
    add({.kind = Kind::flatten, .x = image, .y = {image[0], image[1] * image[2] * image[3]}});
    for (int count = 1 + below(2); count > 0; --count) {
      add_linear();
      if (chance(60)) add({.kind = Kind::relu, .x = y_shape(), .y = y_shape()});
      if (chance(40)) add_dropout();
    }
  }
  x_ = draw(x_shape_.numel(), false);
  dy_ = reference::random_floats(y_shape().numel(), static_cast<unsigned>(engine_()));
}

float RandomNetwork::number(bool weight) {
  const auto uniform = [this] { return static_cast<float>(below(1 << 24) - (1 << 23)) * 0x1p-23F; };
  if (numbers_ == Numbers::exact) {
    return weight ? one_of({0.0F, 0.0F, -1.0F, 1.0F, -0.0F}) : unit_ * static_cast<float>(below(5) - 2);
  }
  if (numbers_ == Numbers::real || !chance(3)) return uniform();
  using Limits = std::numeric_limits<float>;
  if (weight && chance(70)) return one_of({0.0F, -0.0F, 1e-39F, Limits::denorm_min()});
  return one_of({Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity(), 0.0F, -0.0F, 1e-39F, -Limits::denorm_min()});
}

std::vector<float> RandomNetwork::draw(std::int64_t count, bool weights) {
  std::vector<float> values(static_cast<std::size_t>(count));
  // Where some are special most tensors have none, or a few layers would be NaN throughout.
  const Numbers numbers = numbers_;
  if (numbers == Numbers::special && weights && chance(70)) numbers_ = Numbers::real;
  std::ranges::generate(values, [&] { return number(weights); });
  numbers_ = numbers;
  return values;
}

void RandomNetwork::add(Layer layer) { layers_.push_back(std::move(layer)); }

bool RandomNetwork::add_conv2d(bool joinable) {
  const Shape x = y_shape();
  for (int tries = 0; tries < 20; ++tries) {
    Layer layer{.kind = Kind::conv2d, .x = x};
    std::int64_t K = chance(30) ? 8 + below(41) : 1 + below(8);
    if (joinable) {
      layer.conv = {.kernel_size = 3, .padding = 1};
    } else {
      const auto pair = [this](int bound, int least) { return Size2{least + below(bound), least + below(bound)}; };
      layer.conv = {.kernel_size = chance(30) ? Size2{1} : pair(5, 1),
                    .stride = chance(50) ? Size2{1} : pair(3, 1),
                    .padding = chance(40) ? Size2{0} : pair(4, 0),
                    .dilation = chance(70) ? Size2{1} : pair(3, 1)};
      if (chance(30)) {
        layer.conv.groups = static_cast<int>(x[1]);  // depthwise
        K = x[1] * (1 + below(2));
      } else if (x[1] % 2 == 0 && chance(20)) {
        layer.conv.groups = 2;
        K += K % 2;
      }
    }
    layer.conv.bias = chance(80);
    try {
      layer.y = kernels::conv2d_shape(x, x[1], K, layer.conv);
    } catch (const std::invalid_argument&) {
      continue;
    }
    const Shape weight = kernels::conv2d_weight_shape(x[1], K, layer.conv);
    if (layer.y.numel() > kMaxActivations || layer.y.numel() * weight.with(0, 1).numel() > kMaxProducts) continue;
    layer.weight = draw(weight.numel(), true);
    if (layer.conv.bias) layer.bias_values = draw(K, false);
    add(std::move(layer));
    return true;
  }
  return false;
}

bool RandomNetwork::add_max_pool2d(bool joinable) {
  const Shape x = y_shape();
  for (int tries = 0; tries < 20; ++tries) {
    Layer layer{.kind = Kind::max_pool2d, .x = x};
    layer.pool = {2, 2};
    if (!joinable) {
      const Size2 kernel{1 + below(5), 1 + below(5)};
      layer.pool = {kernel, Size2{1 + below(3), 1 + below(3)}, Size2{below(kernel.height / 2 + 1), below(kernel.width / 2 + 1)}};
    }
    try {
      layer.y = kernels::max_pool2d_shape(x, layer.pool);
    } catch (const std::invalid_argument&) {
      continue;
    }
    if (layer.y.numel() > kMaxActivations) continue;
    add(std::move(layer));
    return true;
  }
  return false;
}

void RandomNetwork::add_linear() {
  const Shape x = y_shape();
  const std::int64_t most = std::max<std::int64_t>(1, kMaxProducts / std::max<std::int64_t>(1, x.numel()));
  const std::int64_t out = std::min<std::int64_t>(most, 1 + below(chance(30) ? 130 : 20));
  Layer layer{.kind = Kind::linear, .x = x, .y = {x[0], out}, .bias = chance(80)};
  layer.weight = draw(out * x[1], true);
  if (layer.bias) layer.bias_values = draw(out, false);
  add(std::move(layer));
}

void RandomNetwork::add_dropout() {
  const double p = numbers_ == Numbers::exact ? one_of({0.0, 0.5, 0.75}) : one_of({0.0, 0.1, 0.5, 0.9});
  add({.kind = Kind::dropout, .x = y_shape(), .y = y_shape(), .p = p});
}

Sequential::Child RandomNetwork::child(const Layer& layer) const {
  switch (layer.kind) {
    case Kind::conv2d: return Conv2d(static_cast<int>(layer.x[1]), static_cast<int>(layer.y[1]), layer.conv);
    case Kind::relu: return ReLU();
    case Kind::max_pool2d: return MaxPool2d(layer.pool.kernel_size, layer.pool.stride, layer.pool.padding);
    case Kind::dropout: return Dropout(layer.p);
    case Kind::flatten: return Flatten();
    default: return Linear(static_cast<int>(layer.x[1]), static_cast<int>(layer.y[1]), {.bias = layer.bias});
  }
}

Sequential RandomNetwork::make() const {
  std::vector<Sequential::Child> first, second;
  for (std::size_t i = 0; i < layers_.size(); ++i) (split_ && i >= split_ ? second : first).push_back(child(layers_[i]));
  Sequential model = split_ ? Sequential{{"features", Sequential(std::move(first))}, {"classifier", Sequential(std::move(second))}}
                            : Sequential(std::move(first));
  std::vector<Parameter> parameters = model.parameters();
  std::size_t next = 0;
  for (const Layer& layer : layers_) {
    for (const std::vector<float>* values : {&layer.weight, &layer.bias_values}) {
      if (values->empty()) continue;
      parameters[next].set_value(Tensor::from(*values, parameters[next].shape()));
      ++next;
    }
  }
  return model;
}

std::string RandomNetwork::text() const {
  constexpr std::array<const char*, 3> kNumbers{"real", "exact", "special"};
  std::string text =
      fmt::format("{} numbers (unit {}), x {}", kNumbers[static_cast<std::size_t>(numbers_)], unit_, x_shape_.string());
  const auto pair = [](Size2 size) { return fmt::format("{}x{}", size.height, size.width); };
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    text += split_ && i == split_ ? " || " : ", ";
    switch (layer.kind) {
      case Kind::conv2d:
        text += fmt::format("Conv2d({}, {}, kernel {}, stride {}, padding {}, dilation {}, groups {}, bias {})", layer.x[1],
                            layer.y[1], pair(layer.conv.kernel_size), pair(layer.conv.stride), pair(layer.conv.padding.before()),
                            pair(layer.conv.dilation), layer.conv.groups, layer.conv.bias);
        break;
      case Kind::relu: text += "ReLU"; break;
      case Kind::max_pool2d:
        text +=
            fmt::format("MaxPool2d({}, {}, {})", pair(layer.pool.kernel_size), pair(layer.pool.stride), pair(layer.pool.padding));
        break;
      case Kind::dropout: text += fmt::format("Dropout({})", layer.p); break;
      case Kind::flatten: text += "Flatten"; break;
      case Kind::linear: text += fmt::format("Linear({}, {}, bias {})", layer.x[1], layer.y[1], layer.bias); break;
    }
  }
  return text;
}

RandomNetwork::Pass RandomNetwork::run(bool training) const {
  Pass pass;
  bool exact = numbers_ == Numbers::exact;
  std::vector<Values> inputs;  // of each layer
  std::vector<std::optional<RandomStream>> masks(layers_.size());
  std::vector<std::vector<std::int32_t>> winners(layers_.size());
  Values x = reference::widen(x_);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const Values weight = reference::widen(layer.weight), bias = reference::widen(layer.bias_values);
    const double margin = exact ? 0 : kCertain * largest_of(x);
    pass.largest_activation = std::max(pass.largest_activation, largest_of(x));
    inputs.push_back(x);
    switch (layer.kind) {
      case Kind::conv2d: {
        const reference::Conv2d conv = convolution(layer.x, layer.y, layer.conv);
        exact = exact && largest_of(reference::conv2d(conv, absolute(x), absolute(weight), absolute(bias))) <=
                             kExact * static_cast<double>(unit_);
        x = reference::conv2d(conv, x, weight, bias);
        break;
      }
      case Kind::linear: {
        const auto N = static_cast<std::size_t>(layer.x[0]), in = static_cast<std::size_t>(layer.x[1]),
                   out = static_cast<std::size_t>(layer.y[1]);
        exact = exact && largest_of(reference::linear(N, in, out, absolute(x), absolute(weight), absolute(bias))) <=
                             kExact * static_cast<double>(unit_);
        x = reference::linear(N, in, out, x, weight, bias);
        break;
      }
      case Kind::relu:
        for (const double value : x) pass.certain = pass.certain && (value == 0 || !(std::abs(value) < margin));
        x = reference::relu(x);
        break;
      case Kind::max_pool2d: {
        const reference::MaxPool2d pool = pooling(layer.x, layer.pool);
        pass.certain = pass.certain && (margin == 0 || pooled_with_certainty(pool, x, margin));
        reference::MaxPooled pooled = reference::max_pool2d(pool, x);
        x = std::move(pooled.y);
        winners[i] = std::move(pooled.argmax);
        break;
      }
      case Kind::dropout:
        if (!training || layer.p == 0) break;
        // The root is 0; a Sequential comes before its children.
        masks[i] = RandomStream(0, Purpose::dropout,
                                static_cast<std::uint32_t>(1 + i + (split_ ? 1U : 0U) + (split_ && i >= split_ ? 1U : 0U)));
        x = reference::dropout(x, layer.p, *masks[i]);
        break;
      case Kind::flatten: break;
    }
  }
  pass.y = x;
  if (!training) return pass;

  std::vector<Values> backwards;  // gradients of parameters, the last first
  Values dy = reference::widen(dy_);
  for (std::size_t i = layers_.size(); i-- > 0;) {
    const Layer& layer = layers_[i];
    pass.largest_gradient = std::max(pass.largest_gradient, largest_of(dy));
    const Values weight = reference::widen(layer.weight);
    Values dbias;
    switch (layer.kind) {
      case Kind::conv2d: {
        reference::Conv2dGradients all =
            reference::conv2d_backward(convolution(layer.x, layer.y, layer.conv), inputs[i], weight, dy);
        if (layer.conv.bias) backwards.push_back(std::move(all.dbias));
        backwards.push_back(std::move(all.dweight));
        dy = std::move(all.dx);
        break;
      }
      case Kind::linear: {
        reference::LinearGradients all =
            reference::linear_backward(static_cast<std::size_t>(layer.x[0]), static_cast<std::size_t>(layer.x[1]),
                                       static_cast<std::size_t>(layer.y[1]), inputs[i], weight, dy);
        if (layer.bias) backwards.push_back(std::move(all.dbias));
        backwards.push_back(std::move(all.dweight));
        dy = std::move(all.dx);
        break;
      }
      case Kind::relu: dy = reference::relu_backward(inputs[i], dy); break;
      case Kind::max_pool2d: dy = reference::max_pool2d_backward(pooling(layer.x, layer.pool), dy, winners[i]); break;
      case Kind::dropout:
        if (masks[i]) dy = reference::dropout(dy, layer.p, *masks[i]);
        break;
      case Kind::flatten: break;
    }
  }
  pass.gradients.assign(backwards.rbegin(), backwards.rend());
  pass.gradients.push_back(dy);
  for (const Values& gradient : pass.gradients) pass.largest_gradient = std::max(pass.largest_gradient, largest_of(gradient));
  return pass;
}

}  // namespace gpucnn
