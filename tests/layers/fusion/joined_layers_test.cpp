#include <gpucnn/layers/containers/sequential.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/pool/max_pool2d.h>

#include "close.h"
#include "layers/fusion/joined_cases.h"
#include "layers/fusion/one_by_one.h"
#include "layers/layers.h"
#include "misuse.h"

// Layers side by side that a Sequential runs as one: what they give is what they give one by one.
namespace gpucnn {
namespace {

using testing::ThrowsMessage;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class JoinedLayers : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, JoinedLayers, devices(), device_name);

/// On a GPU an engine that applies ReLU in its own pass may add in another order, as one pass does on the CPU.
Tolerance tolerance_of(const JoinedCase& c, Device device) {
  return device.kind == Device::Kind::cpu && !c.one_pass ? kSameValue : kSum;
}

/// Gradients that leave out what is multiplied by an exact zero may have numbers where `expected` has NaN, but not the reverse.
void expect_close_where_numbers(const std::vector<float>& actual, const std::vector<float>& expected, Tolerance tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  std::vector<double> numbers = as_doubles(expected);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (std::isnan(numbers[i])) numbers[i] = actual[i];
  }
  expect_close(actual, numbers, tolerance);
}

TEST_P(JoinedLayers, GiveWhatTheLayersGiveOneByOne) {
  for (const JoinedCase& c : kJoinedCases) {
    const Tolerance tolerance = tolerance_of(c, device());
    Sequential joined = c.make();
    joined.set_input_grad(true);
    OneByOne plain(c.make());
    joined.init(3).to(device()).eval();
    plain.init(3).to(device()).eval();
    std::vector<float> x = reference::random_floats(c.x.numel(), 4);
    for (const bool with_nan : {false, true}) {
      SCOPED_TRACE(std::string(c.name) + (with_nan ? " with NaN" : ""));
      for (std::size_t i = 3; with_nan && i < x.size(); i += 41) x[i] = kNan;
      const Tensor input = tensor(x, c.x);
      joined.zero_grad();
      plain.zero_grad();
      const Result actual = run(joined, input, 5), expected = run(plain, input, 5);
      expect_close(actual.y, as_doubles(expected.y), tolerance);
      expect_close(values(joined.predict(input)), as_doubles(expected.y), tolerance);
      expect_close(actual.dx, as_doubles(expected.dx), tolerance);
      if (with_nan && c.one_pass && device().kind == Device::Kind::cpu) {
        expect_close_where_numbers(actual.grads, expected.grads, tolerance);
      } else {
        expect_close(actual.grads, as_doubles(expected.grads), tolerance);
      }
    }
  }
}

TEST_P(JoinedLayers, GiveWhatTheLayersGiveOneByOneInTraining) {
  for (const JoinedCase& c : kJoinedCases) {
    if (!c.one_pass) continue;
    SCOPED_TRACE(c.name);
    Sequential joined = c.make();
    joined.set_input_grad(true);
    OneByOne plain(c.make());
    joined.init(3).to(device()).train();
    plain.init(3).to(device()).train();
    // Two batches, the second of other sizes, whose gradients are added.
    for (const std::int64_t more : {0, 2}) {
      const Tensor x = random_tensor(c.x.with(0, c.x[0] + more), 4);
      const Result actual = run(joined, x, 5), expected = run(plain, x, 5);
      expect_close(actual.y, as_doubles(expected.y), kSum);
      expect_close(actual.dx, as_doubles(expected.dx), kSum);
      expect_close(actual.grads, as_doubles(expected.grads), kSum);
    }
  }
}

TEST_P(JoinedLayers, PredictTheSameBitsAsInTraining) {
  for (const JoinedCase& c : kJoinedCases) {
    if (!c.one_pass) continue;
    SCOPED_TRACE(c.name);
    Sequential model = c.make();
    model.init(3).to(device());
    const Tensor x = random_tensor(c.x, 4);
    const std::vector<float> y = values(model(x));
    EXPECT_EQ(values(model.predict(x)), y);
  }
}

TEST_P(JoinedLayers, APredictOfAnotherSizeLeavesTheBackwardAlone) {
  // On the CPU the convolutions work in one pass on the small images, each on its own on the large ones.
  const Shape small{2, 3, 16, 16}, large{1, 3, 256, 256};
  for (const auto& [trained, predicted] : {std::pair(small, large), std::pair(large, small)}) {
    SCOPED_TRACE(trained.string());
    const auto grads = [&, sizes = std::pair(trained, predicted)](bool predict) {
      Sequential model{Conv2d(3, 8, kSamePadding), ReLU(), MaxPool2d(2), Conv2d(8, 16, kSamePadding), ReLU(), MaxPool2d(2)};
      model.init(3).to(device());
      const Tensor y = model(random_tensor(sizes.first, 4));
      if (predict) model.predict(random_tensor(sizes.second, 5));
      model.backward(random_tensor(y.shape(), 6));
      return all_grads(model);
    };
    EXPECT_EQ(grads(true), grads(false));
  }
}

TEST_P(JoinedLayers, AddGradientsUntilTheyAreZeroed) {
  for (const JoinedCase& c : kJoinedCases) {
    if (!c.one_pass) continue;
    SCOPED_TRACE(c.name);
    Sequential model = c.make();
    model.set_input_grad(true);
    model.init(3).to(device());
    const Tensor x = random_tensor(c.x, 4);
    std::vector<double> expected = as_doubles(run(model, x, 5).grads);
    for (double& gradient : expected) gradient *= 2;
    expect_close(run(model, x, 5).grads, expected, kSum);
    model.zero_grad();
    for (double& gradient : expected) gradient /= 2;
    expect_close(run(model, x, 5).grads, expected, kSameValue);
  }
}

TEST_P(JoinedLayers, GiveTheSameGradientsWithoutThatOfTheInput) {
  for (const JoinedCase& c : kJoinedCases) {
    if (!c.one_pass) continue;
    SCOPED_TRACE(c.name);
    Sequential with = c.make(), without = c.make();
    with.set_input_grad(true);
    with.init(3).to(device());
    without.init(3).to(device());
    const Tensor x = random_tensor(c.x, 4);
    const Tensor y = with(x), dy = random_tensor(y.shape(), 5);
    EXPECT_EQ(values(without(x)), values(y));
    EXPECT_EQ(with.backward(dy).shape(), x.shape());
    EXPECT_FALSE(without.backward(dy).defined());
    EXPECT_EQ(all_grads(without), all_grads(with));
  }
}

TEST_P(JoinedLayers, GiveNanToTheWeightsOfChannelsThatAreNan) {
  constexpr std::ptrdiff_t kChannels = 5, kTaps = 3 * 9, kPixels = 3 * 2;
  Sequential model{Conv2d(3, kChannels, kSamePadding), ReLU(), MaxPool2d(2)};
  model.set_input_grad(true);
  model.init(3).to(device());
  std::vector<float> x = reference::random_floats(3 * 7 * 5, 4);
  x[7] = kNan;
  const Result result = run(model, tensor(x, {1, 3, 7, 5}), 5);
  const auto has_nan = [](const float* values, std::ptrdiff_t count) {
    return std::any_of(values, values + count, [](float value) { return std::isnan(value); });
  };
  for (std::ptrdiff_t k = 0; k < kChannels; ++k) {
    EXPECT_TRUE(has_nan(result.y.data() + k * kPixels, kPixels)) << k;
    EXPECT_TRUE(has_nan(result.grads.data() + k * kTaps, kTaps)) << k;
  }
  EXPECT_FALSE(has_nan(result.grads.data() + kChannels * kTaps, kChannels)) << "bias";
}

TEST_P(JoinedLayers, AClassDerivedFromALayerIsNotJoined) {
  struct Negated : Linear {
    using Linear::Linear;
    Tensor forward(const Tensor& x, Context& context) const override {
      return combine(Linear::forward(x, context), Tensor::full({1}, -1), std::multiplies<float>());
    }
  };
  Sequential model{Negated(1, 1, {.bias = false}), ReLU()};
  model.at<Linear>("0").weight().set_value(Tensor::full({1, 1}, 1));
  EXPECT_EQ(values(model.to(device())(tensor<float>({-2, 3}, {2, 1}))), (std::vector<float>{2, 0}));
}

TEST_P(JoinedLayers, DropWhatTheLayersDropOneByOne) {
  for (const double p : {0.3, 0.5, 1.0}) {
    SCOPED_TRACE(p);
    const auto make = [p] { return Sequential{Linear(6, 8), ReLU(), Dropout(p), Linear(8, 3)}; };
    Sequential joined{{"layers", make()}};  // so that Dropout has the same place in both trees, from which it draws
    OneByOne plain(make());
    joined.set_input_grad(true);
    joined.init(3).to(device());
    plain.init(3).to(device());
    for (unsigned forward = 0; forward < 3; ++forward) {
      const Tensor x = random_tensor({33, 6}, 10 + forward);
      joined.zero_grad();
      plain.zero_grad();
      const Result actual = run(joined, x, 5), expected = run(plain, x, 5);
      EXPECT_EQ(actual.y, expected.y);
      EXPECT_EQ(actual.dx, expected.dx);
      EXPECT_EQ(actual.grads, expected.grads);
      EXPECT_EQ(values(joined.predict(x)), values(plain.predict(x)));
    }
  }
}

/// Runs a layer of a Sequential by itself besides the whole.
struct Besides : Module {
  Sequential all;
  std::string alone;
  Besides(Sequential list, std::string name) : all(std::move(list)), alone(std::move(name)) {}
  Shape output_shape(const Shape& x) const override { return shape_of(all, x); }
  Tensor forward(const Tensor& x, Context& context) const override {
    const Tensor y = all(x, context);
    all.at(alone)(alone == "0" ? x : Tensor::zeros({x.dim(0), 4, x.dim(2), x.dim(3)}, DType::f32, x.device()), context);
    return y;
  }
  Tensor gradients(const Tensor& dy, Context& context) override { return all.backward(dy, context); }
  void members(Members& m) override { m("all", all); }
};

TEST_P(JoinedLayers, AreEachUsedOnceInAForward) {
  for (const char* name : {"0", "1", "2"}) {
    SCOPED_TRACE(name);
    Besides model(Sequential{Conv2d(3, 4, {.kernel_size = 3, .padding = 1}), ReLU(), MaxPool2d(2)}, name);
    model.to(device());
    const Tensor x = zeros({2, 3, 6, 6});
    EXPECT_THAT([&] { model(x); }, ThrowsMessage<std::logic_error>(testing::HasSubstr("used twice in one forward")));
    EXPECT_NO_THROW(model.predict(x));
  }
}

TEST_P(JoinedLayers, ALayerTakenOutWorksAlone) {
  Sequential model{Linear(1, 1, {.bias = false}), ReLU()};
  model.at<Linear>("0").weight().set_value(Tensor::full({1, 1}, 1));
  const Tensor x = full({1, 1}, -2);
  model.to(device());
  EXPECT_EQ(model(x).item(), 0);
  EXPECT_EQ(model.at<Linear>("0")(x).item(), -2);
  EXPECT_EQ(model.at<ReLU>("1")(x).item(), 0);
}

TEST_P(JoinedLayers, SayThatABackwardComesTooOften) {
  for (const Conv2dOptions& options : {Conv2dOptions{.kernel_size = 1}, kSamePadding}) {
    Sequential model{Conv2d(1, 1, options), ReLU(), MaxPool2d(2)};
    model.to(device())(zeros({1, 1, 2, 2}));
    EXPECT_THAT(
        [&] {
          model.backward(zeros({1, 1, 2, 2}));
        },
        misuse("Sequential: backward expects an f32 gradient of [1, 1, 1, 1], got f32 [1, 1, 2, 2]"));
    model.backward(zeros({1, 1, 1, 1}));
    EXPECT_THAT(
        [&] {
          model.backward(zeros({1, 1, 1, 1}));
        },
        ThrowsMessage<std::logic_error>(testing::HasSubstr("Sequential: backward without a forward before it")));
  }
}

TEST_P(JoinedLayers, KeepTheMaximumOfAWindowInThePadding) {
  Sequential model{ReLU(), MaxPool2d({.kernel_size = 2, .stride = 1, .padding = 1, .dilation = 3})};
  model.to(device());
  EXPECT_EQ(values(model.predict(full({1, 1, 2, 2}, 1))), (std::vector<float>{-std::numeric_limits<float>::infinity()}));
}

TEST_P(JoinedLayers, SayWhichOfThemAShapeDoesNotFit) {
  Sequential model{Conv2d(3, 5, kSamePadding), ReLU(), MaxPool2d(2)};
  model.to(device());
  EXPECT_THAT([&] { model(zeros({2, 4, 8, 8})); }, misuse("0 Conv2d: expects 3 input channels, got 4"));
  EXPECT_THAT(
      [&] {
        model(zeros({2, 3, 8, 1}));
      },
      misuse("2 MaxPool2d: a window of 2x2 with padding 0x0 does not fit [2, 5, 8, 1]"));
  EXPECT_THAT([&] { model.predict(zeros({2, 3, 1, 8})); }, misuse("2 MaxPool2d: a window of 2x2"));
}

}  // namespace
}  // namespace gpucnn
