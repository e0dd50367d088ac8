// Operations on bf16 activations, on a GPU: what the CPU gives in f32 for the same numbers, rounded.
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/core/random.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/activation/dropout.h>
#include <gpucnn/kernels/copy/cast.h>
#include <gpucnn/kernels/copy/flatten.h>
#include <gpucnn/kernels/linear/linear.h>
#include <gpucnn/kernels/loss/softmax.h>
#include <gpucnn/kernels/pool/max_pool2d.h>
#include <gpucnn/kernels/pool/upsample_nearest2d.h>

#include "close.h"
#include "device_test.h"
#include "misuse.h"
#include "reference/activation.h"
#include "reference/linear.h"
#include "reference/values.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

constexpr Tolerance kBf16Neighbour{1.0 / 128, 0};  // a unit of the last place

class Bf16Test : public DeviceTest {
 protected:
  /// f32 values that bf16 holds, in this shape, on the CPU.
  static Tensor rounded(const Shape& shape, unsigned seed) {
    std::vector<float> values = random_floats(shape.numel(), seed);
    for (float& value : values) value = to_float(to_bf16(value));
    if (values.size() > 5) values[5] = std::numeric_limits<float>::quiet_NaN();
    return Tensor::from(values, shape);
  }
  Tensor narrow(const Tensor& host) {
    Tensor y = empty(host.shape(), DType::bf16);
    cast(host.to(device()), y, stream());
    return y;
  }
  std::vector<float> wide(const Tensor& x) {
    Tensor y = empty(x.shape());
    cast(x, y, stream());
    return y.to_vector<float>();
  }
  static std::vector<double> round_all(const Tensor& x) {
    std::vector<double> all;
    for (const float value : x.to_vector<float>()) all.push_back(static_cast<double>(to_float(to_bf16(value))));
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Bf16Test, testing::Values(Device::cuda()), device_name);

TEST_P(Bf16Test, ActivationsRoundWhatTheCpuComputes) {
  Stream cpu;
  for (const std::int64_t size : {0, 1, 3, 31, 257, 5000}) {
    SCOPED_TRACE(size);
    const Tensor x = rounded({size}, 1), dy = rounded({size}, 2);
    Tensor y = Tensor::empty({size}), dx = Tensor::empty({size});
    for (const auto& each : reference::kActivations) {
      SCOPED_TRACE(each.name);
      // Exponentials of the two devices may differ in the last bit of f32, and so be rounded to neighbours.
      const Tolerance tolerance = each.function.kind < Activation::gelu ? kSameValue : kBf16Neighbour;
      const bool reads_y = activation_backward_reads_y(each.function);
      activation(x, each.function, y, cpu);
      Tensor y16 = empty({size}, DType::bf16), dx16 = empty({size}, DType::bf16);
      activation(narrow(x), each.function, y16, stream());
      expect_close(wide(y16), round_all(y), tolerance);
      activation_backward(reads_y ? Tensor::from(wide(y16), {size}) : x, each.function, dy, dx, cpu);
      activation_backward(reads_y ? y16 : narrow(x), each.function, narrow(dy), dx16, stream());
      expect_close(wide(dx16), round_all(dx), tolerance);
    }
  }
}

TEST_P(Bf16Test, MaxPool2dAndItsBackwardChooseTheSame) {
  Stream cpu;
  for (const Pool2d& pool : {Pool2d{2, 2}, Pool2d{3, 2, 1}, Pool2d{3, 1}, Pool2d{2, 2, 0, 1, true}, Pool2d{3, 2, 1, 1, true},
                             Pool2d{{3, 2}, 1, {1, 0}, {2, 3}}, Pool2d{2, {3, 2}, 1, 2, true}}) {
    for (const Shape& shape : {Shape{2, 8, 7, 6}, Shape{3, 5, 8, 9}}) {
      SCOPED_TRACE(shape.string());
      const Tensor x = rounded(shape, 1);
      const Shape out = max_pool2d_shape(shape, pool);
      const Tensor dy = rounded(out, 2);
      Tensor y = Tensor::empty(out), places = Tensor::empty(out, DType::u8), dx = Tensor::empty(shape);
      max_pool2d(x, pool, y, places, cpu);
      max_pool2d_backward(dy, places, pool, dx, cpu);
      Tensor y16 = empty(out, DType::bf16), places16 = empty(out, DType::u8), dx16 = empty(shape, DType::bf16);
      max_pool2d(narrow(x), pool, y16, places16, stream());
      max_pool2d_backward(narrow(dy), places16, pool, dx16, stream());
      expect_close(wide(y16), round_all(y), kSameValue);
      EXPECT_EQ(places16.to_vector<std::uint8_t>(), places.to_vector<std::uint8_t>());
      expect_close(wide(dx16), round_all(dx), kSameValue);
    }
  }
}

TEST_P(Bf16Test, FlattenAndItsBackwardMoveTheSame) {
  Stream cpu;
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{3, 33, 4, 4}, Shape{1, 1, 9, 9}}) {
    SCOPED_TRACE(shape.string());
    const Tensor x = rounded(shape, 1);
    Tensor y16 = empty({shape[0], shape.numel() / shape[0]}, DType::bf16), back = empty(shape, DType::bf16);
    flatten(narrow(x), y16, stream());
    Tensor y = Tensor::empty(y16.shape());
    flatten(x, y, cpu);
    expect_close(wide(y16), round_all(y), kSameValue);
    flatten_backward(y16, back, stream());
    expect_close(wide(back), round_all(x), kSameValue);
  }
}

TEST_P(Bf16Test, DropoutDrawsTheSameMask) {
  Stream cpu;
  const RandomStream random(7, Purpose::dropout, 3, 5);
  for (const Shape& shape : {Shape{1}, Shape{1030}, Shape{2, 5, 3, 7}, Shape{2, 8, 4, 4}}) {
    SCOPED_TRACE(shape.string());
    const Tensor x = rounded(shape, 1);
    Tensor y = Tensor::empty(shape), y16 = empty(shape, DType::bf16);
    dropout(x, 0.3, random, y, cpu);
    dropout(narrow(x), 0.3, random, y16, stream());
    expect_close(wide(y16), round_all(y), kSameValue);
    if (shape.rank() != 4) continue;
    dropout2d(x, 0.3, random, y, cpu);
    dropout2d(narrow(x), 0.3, random, y16, stream());
    expect_close(wide(y16), round_all(y), kSameValue);
  }
}

TEST_P(Bf16Test, SoftmaxIsRoundedOnce) {
  Stream cpu;
  for (const Shape& shape : {Shape{9, 33}, Shape{2, 5, 3, 7}}) {
    SCOPED_TRACE(shape.string());
    const Tensor x = rounded(shape, 1), dy = rounded(shape, 2);
    Tensor y = Tensor::empty(shape), dx = Tensor::empty(shape);
    Tensor y16 = empty(shape, DType::bf16), dx16 = empty(shape, DType::bf16);
    softmax(x, y, cpu);
    softmax(narrow(x), y16, stream());
    expect_close(wide(y16), round_all(y), kBf16Neighbour);
    softmax_backward(Tensor::from(wide(y16), shape), dy, dx, cpu);
    softmax_backward(y16, narrow(dy), dx16, stream());
    expect_close(wide(dx16), round_all(dx), kBf16Neighbour);
  }
}

TEST_P(Bf16Test, UpsampleNearest2dCopiesAndAddsInF32) {
  Stream cpu;
  for (const Shape& shape : {Shape{2, 5, 3, 7}, Shape{1, 8, 4, 4}}) {
    SCOPED_TRACE(shape.string());
    const Size2 scale{2, 3};
    const Shape out = upsample_nearest2d_shape(shape, scale);
    const Tensor x = rounded(shape, 1), dy = rounded(out, 2);
    Tensor y = Tensor::empty(out), dx = Tensor::empty(shape);
    Tensor y16 = empty(out, DType::bf16), dx16 = empty(shape, DType::bf16);
    upsample_nearest2d(x, scale, y, cpu);
    upsample_nearest2d(narrow(x), scale, y16, stream());
    expect_close(wide(y16), round_all(y), kSameValue);
    upsample_nearest2d_backward(dy, scale, dx, cpu);
    upsample_nearest2d_backward(narrow(dy), scale, dx16, stream());
    expect_close(wide(dx16), round_all(dx), kSameValue);
  }
}

TEST_P(Bf16Test, LinearMultipliesRoundedNumbersAndAddsInF32) {
  constexpr std::int64_t N = 33, I = 70, O = 10;
  std::vector<float> x, weight, bias, dy;
  const auto fill = [](std::vector<float>& values, std::int64_t count, unsigned seed) {
    values = random_floats(count, seed);
    for (float& value : values) value = to_float(to_bf16(value));
  };
  fill(x, N * I, 1), fill(weight, O * I, 2), fill(bias, O, 3), fill(dy, N * O, 4);
  LinearPlan plan({N, I}, O, true, device(), Precision::bf16);
  Tensor y = empty({N, O}, DType::bf16), dx = empty({N, I}, DType::bf16), dweight = empty({O, I}), dbias = empty({O});
  const Tensor xs = narrow(Tensor::from(x, {N, I})), weights = narrow(Tensor::from(weight, {O, I}));
  const Tensor biases = narrow(Tensor::from(bias, {O})), dys = narrow(Tensor::from(dy, {N, O}));
  plan.forward(xs, weights, biases, {}, y, stream());
  plan.backward_data(dys, weights, dx, stream());
  plan.backward_weights(xs, dys, {}, dweight, dbias, stream());
  constexpr Tolerance kRounded{1.0 / 256, 1e-6};  // half a unit of bf16's last place
  auto gradients = reference::linear_backward(N, I, O, widen(x), widen(weight), widen(dy));
  expect_close(wide(y), reference::linear(N, I, O, widen(x), widen(weight), widen(bias)), kRounded);
  expect_close(wide(dx), gradients.dx, kRounded);
  expect_close(dweight.to_vector<float>(), gradients.dweight, kVendorSum);
  expect_close(dbias.to_vector<float>(), gradients.dbias, kSum);
  plan.backward_weights(xs, dys, {.dweight = true, .dbias = true}, dweight, dbias, stream());
  for (double& value : gradients.dweight) value *= 2;
  expect_close(dweight.to_vector<float>(), gradients.dweight, kVendorSum);
}

TEST(Bf16OnTheCpu, IsRefused) {
  Stream cpu;
  Tensor x = Tensor::empty({3}, DType::bf16);
  EXPECT_THAT([&] { activation(x, {Activation::relu}, x, cpu); }, misuse("activation: x must be f32, got bf16"));
}

}  // namespace
}  // namespace gpucnn::kernels
