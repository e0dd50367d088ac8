#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/fused/conv2d_relu_pool.h>

#include "close.h"
#include "reference/conv2d.h"
#include "reference/max_pool2d.h"
#include "reference/relu.h"

// Problems for conv2d_relu_pool, and what the reference makes of them.
namespace gpucnn::kernels {

using reference::random_floats;
using reference::Values;
using reference::widen;

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
inline constexpr float kInfinity = std::numeric_limits<float>::infinity();
inline constexpr std::uint8_t kNoWinner = 4;
// Sums over many channels may be computed in another way.
inline constexpr std::int64_t kFewAndManyChannels[] = {1, 9, 17};

struct Sizes {
  std::int64_t N, C, H, W, K;
  bool bias = true;

  Shape x() const { return {N, C, H, W}; }
  Shape weight() const { return {K, C, 3, 3}; }
  Shape y() const { return {N, K, H / 2, W / 2}; }
  std::string string() const { return x().string() + " to " + std::to_string(K) + " channels" + (bias ? "" : " without bias"); }
  reference::Conv2d conv() const { return {.N = N, .C = C, .H = H, .W = W, .K = K, .kernel_size = 3, .padding = 1}; }
  reference::MaxPool2d pool() const { return {.planes = N * K, .H = H, .W = W, .kernel_size = 2, .stride = 2}; }
};

/// What goes in, in logical order.
struct Data {
  Sizes sizes;
  std::vector<float> x, weight, bias, dy;
};

inline Data random_data(const Sizes& sizes) {
  return {sizes, random_floats(sizes.x().numel(), 1), random_floats(sizes.weight().numel(), 2),
          random_floats(sizes.bias ? sizes.K : 0, 3), random_floats(sizes.y().numel(), 4)};
}

/// Small whole numbers, whose sums f32 has exactly, and among which many are equal.
inline Data whole_numbers(const Sizes& sizes) {
  Data data = random_data(sizes);
  for (float& value : data.x) value = std::round(3 * value);
  for (float& value : data.weight) value = std::round(2 * value);
  for (float& value : data.bias) value = std::round(4 * value);
  for (float& value : data.dy) value = std::round(3 * value);
  return data;
}

/// A tensor amid memory that is not its own, in which every f32 is NaN and every u8 255, from element `at` on behind a boundary.
class Fenced {
 public:
  Fenced() = default;
  Fenced(const Shape& shape, std::int64_t at, DType dtype = DType::f32, Device device = Device::cpu()) : first_(kFence + at) {
    Tensor around = Tensor::empty({first_ + shape.numel() + kFence}, dtype);
    std::memset(around.bytes(), 0xFF, around.nbytes());
    around_ = around.to(device);
    tensor = around_.view(first_, shape);
  }
  Fenced(const std::vector<float>& values, const Shape& shape, std::int64_t at, Device device = Device::cpu())
      : Fenced(shape, at, DType::f32, device) {
    tensor.copy_from(Tensor::from(values, shape));
  }

  /// Whether nobody wrote around the tensor.
  bool holds() const {
    if (!tensor.defined()) return true;
    const auto untouched = [](std::byte byte) { return byte == std::byte{0xFF}; };
    const Tensor around = around_.to(Device::cpu());
    const std::byte *begin = around.bytes() + first_ * (around.nbytes() / around.numel()), *end = begin + tensor.nbytes();
    return std::all_of(around.bytes(), begin, untouched) && std::all_of(end, around.bytes() + around.nbytes(), untouched);
  }

 private:
  static constexpr std::int64_t kFence = 64;
  std::int64_t first_ = 0;
  Tensor around_;

 public:
  Tensor tensor;
};

struct Results {
  std::vector<float> y, dweight, dbias, dx;
  std::vector<std::uint8_t> argmax;

  /// One after the other.
  std::vector<float> all() const {
    std::vector<float> all(argmax.begin(), argmax.end());
    for (const std::vector<float>* values : {&y, &dweight, &dbias, &dx}) all.insert(all.end(), values->begin(), values->end());
    return all;
  }
};

/// The tensors of one problem; results are NaN before they are computed.
struct Problem {
  explicit Problem(const Data& data, std::int64_t at = 0, Device device = Device::cpu())
      : sizes(data.sizes),
        stream(device),
        x(data.x, sizes.x(), at, device),
        weight(data.weight, sizes.weight(), at, device),
        bias(sizes.bias ? Fenced(data.bias, {sizes.K}, at, device) : Fenced()),
        dy(data.dy, sizes.y(), at, device),
        y(sizes.y(), at, DType::f32, device),
        dweight(sizes.weight(), at, DType::f32, device),
        dbias(sizes.bias ? Fenced(Shape{sizes.K}, at, DType::f32, device) : Fenced()),
        dx(sizes.x(), at, DType::f32, device),
        argmax(sizes.y(), at, DType::u8, device) {}

  Conv2dReluPool operands() { return {weight.tensor, bias.tensor, x.tensor, argmax.tensor, &kept}; }
  void forward() {
    Conv2dReluPool convolution = operands();
    conv2d_relu_pool({&convolution, 1}, y.tensor, stream);
  }
  void backward(Conv2dPlan::Accumulate accumulate = {}) {
    const Conv2dReluPool convolution = operands();
    Conv2dReluPoolGradients gradients{dweight.tensor, dbias.tensor, accumulate};
    conv2d_relu_pool_backward({&convolution, 1}, dy.tensor, {&gradients, 1}, dx.tensor, stream);
  }

  Results results() const {
    for (const Fenced* fenced : {&x, &weight, &bias, &dy, &y, &dweight, &dbias, &dx, &argmax}) EXPECT_TRUE(fenced->holds());
    const auto values = [](const Tensor& tensor) { return tensor.defined() ? tensor.to_vector<float>() : std::vector<float>(); };
    return {values(y.tensor), values(dweight.tensor), values(dbias.tensor), values(dx.tensor),
            argmax.tensor.to_vector<std::uint8_t>()};
  }

  Sizes sizes;
  Stream stream;
  Conv2dReluPoolWeights kept;
  Fenced x, weight, bias, dy, y, dweight, dbias, dx, argmax;
};

inline Results compute(const Data& data, std::int64_t at = 0, Device device = Device::cpu()) {
  Problem problem(data, at, device);
  problem.forward();
  problem.backward();
  return problem.results();
}

struct Forward {
  Values activations;  // before they are pooled
  Values y;
  std::vector<std::uint8_t> argmax;
};

inline Forward reference_forward(const Data& data) {
  Forward forward;
  const Values conv = reference::conv2d(data.sizes.conv(), widen(data.x), widen(data.weight), widen(data.bias));
  forward.activations = reference::relu(conv);
  auto [y, argmax] = reference::max_pool2d(data.sizes.pool(), forward.activations);
  for (std::size_t e = 0; e < y.size(); ++e) {
    if (y[e] <= 0) argmax[e] = kNoWinner;
  }
  forward.y = std::move(y);
  for (const std::int32_t winner : argmax) forward.argmax.push_back(static_cast<std::uint8_t>(winner));
  return forward;
}

inline reference::Conv2dGradients reference_backward(const Data& data, const std::vector<std::uint8_t>& argmax) {
  Values dy = widen(data.dy);
  std::vector<std::int32_t> winners(argmax.begin(), argmax.end());
  for (std::size_t e = 0; e < dy.size(); ++e) {
    if (argmax[e] == kNoWinner) dy[e] = winners[e] = 0;
  }
  const Values through_pool = reference::max_pool2d_backward(data.sizes.pool(), dy, winners);
  return reference::conv2d_backward(data.sizes.conv(), widen(data.x), widen(data.weight), through_pool);
}

inline void expect_gradients(const Results& actual, const reference::Conv2dGradients& expected, Tolerance tolerance) {
  expect_close(actual.dweight, expected.dweight, tolerance);
  if (!actual.dbias.empty()) expect_close(actual.dbias, expected.dbias, tolerance);
  expect_close(actual.dx, expected.dx, tolerance);
}

/// The activation at each argmax; 0 without a winner.
inline Values at_argmax(const Sizes& sizes, const Values& activations, const std::vector<std::uint8_t>& argmax) {
  const auto rows = static_cast<std::size_t>(sizes.H / 2), columns = static_cast<std::size_t>(sizes.W / 2);
  const auto H = static_cast<std::size_t>(sizes.H), W = static_cast<std::size_t>(sizes.W);
  Values found(argmax.size());
  for (std::size_t e = 0; e < argmax.size(); ++e) {
    const std::size_t h = e / columns % rows * 2 + argmax[e] / 2, w = e % columns * 2 + argmax[e] % 2;
    if (argmax[e] != kNoWinner) found[e] = activations[(e / (rows * columns) * H + h) * W + w];
  }
  return found;
}

}  // namespace gpucnn::kernels
