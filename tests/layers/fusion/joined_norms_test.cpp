#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/gradcheck.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

#include "close.h"
#include "layers/fusion/one_by_one.h"
#include "layers/layers.h"

// BatchNorm2d joined with what stands beside it gives what the layers give one by one.
namespace gpucnn {
namespace {

struct Case {
  const char* name;
  Sequential (*make)();
  Shape x;
};

const Case kCases[] = {
    {"norm_relu",
     [] {
       return Sequential{BatchNorm2d(5), ReLU()};
     },
     {3, 5, 7, 6}},
    {"without_affine",
     [] {
       return Sequential{BatchNorm2d(16, {.affine = false}), ReLU()};
     },
     {2, 16, 5, 4}},
    {"without_tracking",
     [] {
       return Sequential{BatchNorm2d(4, {.track_running_stats = false}), ReLU()};
     },
     {2, 4, 5, 4}},
    {"conv_norm_relu_twice",
     [] {
       return Sequential{Conv2d(3, 8, {.kernel_size = 3, .padding = 1, .bias = false}),
                         BatchNorm2d(8),
                         ReLU(),
                         Conv2d(8, 17, {.kernel_size = 3, .stride = 2}),
                         BatchNorm2d(17),
                         ReLU()};
     },
     {3, 3, 9, 8}},
    {"relu_before_a_conv_norm",
     [] {
       return Sequential{Conv2d(3, 5, {.kernel_size = 1}), ReLU(), Conv2d(5, 4, {.kernel_size = 3}), BatchNorm2d(4)};
     },
     {2, 3, 5, 4}},
    {"relu_norm_relu",
     [] {
       return Sequential{ReLU(), BatchNorm2d(3), ReLU(), ReLU()};
     },
     {2, 3, 4, 4}},
    {"empty_batch",
     [] {
       return Sequential{BatchNorm2d(3), ReLU()};
     },
     {0, 3, 4, 4}},
};

/// A convolution that does the work of the norm behind it rounds its weights once more.
constexpr Tolerance kFolded{0, 1e-5};

class JoinedNorms : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, JoinedNorms, devices(), device_name);

/// Gives every BatchNorm2d a weight, a bias and running statistics that are not those it begins with.
void draw_norms(Module& model) {
  unsigned seed = 100;
  for (auto& [name, values] : model.state_dict()) {
    const bool of_norm = values.shape().rank() == 1;
    if (!of_norm || values.dtype() != DType::f32) continue;
    std::vector<float> drawn = reference::random_floats(values.numel(), ++seed);
    if (name.ends_with("running_var")) {
      for (float& value : drawn) value = 1 + value / 2;
    }
    Tensor(values).copy_from(Tensor::from(drawn, values.shape()));
  }
}

void expect_same(const Result& actual, const Result& expected) {
  expect_close(actual.y, as_doubles(expected.y), kSameValue);
  expect_close(actual.dx, as_doubles(expected.dx), kSameValue);
  expect_close(actual.grads, as_doubles(expected.grads), kSameValue);
}

TEST_P(JoinedNorms, GiveTheBitsOfTheLayersOneByOne) {
  for (const Case& c : kCases) {
    for (const bool training : {true, false}) {
      for (const bool nan : {false, true}) {
        SCOPED_TRACE(std::string(c.name) + (training ? " in training" : " in eval mode") + (nan ? " with NaN" : ""));
        Sequential joined = c.make();
        joined.set_input_grad(true);
        OneByOne plain(c.make());
        joined.init(3).to(device()).train(training);
        plain.init(3).to(device()).train(training);
        draw_norms(joined);
        draw_norms(plain);
        std::vector<float> x = reference::random_floats(c.x.numel(), 4);
        for (std::size_t i = 3; nan && i < x.size(); i += 41) x[i] = std::numeric_limits<float>::quiet_NaN();
        const Tensor input = tensor(x, c.x);
        for (const unsigned seed : {5U, 6U}) expect_same(run(joined, input, seed), run(plain, input, seed));
        expect_close(values(joined.predict(input)), as_doubles(values(plain.predict(input))), kFolded);
        EXPECT_EQ(joined.buffers().size(), plain.buffers().size());
        for (std::size_t i = 0; i < joined.buffers().size(); ++i) {
          if (joined.buffers()[i].dtype() != DType::f32) continue;
          expect_close(values(joined.buffers()[i]), as_doubles(values(plain.buffers()[i])), kSameValue);
        }
      }
    }
  }
}

/// Convolutions of any kind, images large and small enough for folding to be worth it and not.
TEST_P(JoinedNorms, APredictionThatFoldsGivesWhatTheLayersGiveOneByOne) {
  std::mt19937 engine(1);
  const auto up_to = [&](int most) { return static_cast<int>(engine() % static_cast<unsigned>(most)) + 1; };
  for (int i = 0; i < 60; ++i) {
    const int groups = i % 5 == 0 ? 2 : 1, in = groups * up_to(9), out = groups * up_to(20), kernel = up_to(3);
    const Conv2dOptions options{
        .kernel_size = kernel, .stride = up_to(2), .padding = kernel / 2, .groups = groups, .bias = i % 2 == 0};
    const BatchNorm2dOptions norm{.eps = i % 3 == 0 ? 1e-3 : 1e-5, .affine = i % 4 != 0, .track_running_stats = i % 7 != 0};
    const auto make = [&] {
      Sequential layers{Conv2d(in, out, options), BatchNorm2d(out, norm)};
      if (i % 3 != 1) layers.push_back(ReLU());
      return layers;
    };
    const Shape shape{up_to(5), in, 2 + up_to(20), 2 + up_to(20)};
    SCOPED_TRACE(shape.string() + ", number " + std::to_string(i));
    Sequential joined = make();
    OneByOne plain(make());
    for (Module* model : {static_cast<Module*>(&joined), static_cast<Module*>(&plain)}) {
      model->init(static_cast<std::uint64_t>(i)).to(device());
      draw_norms(*model);
    }
    const Tensor x = random_tensor(shape, static_cast<unsigned>(i));
    const std::vector<float> y = values(joined.predict(x));
    expect_close(y, as_doubles(values(plain.predict(x))), kFolded);
    EXPECT_EQ(values(joined.predict(x)), y);
  }
}

TEST_P(JoinedNorms, APredictionSeesThatWeightsOrStatisticsHaveChanged) {
  Sequential model{Conv2d(1, 1, {.kernel_size = 1}), BatchNorm2d(1, {.eps = 0}), ReLU()};
  model.to(device());
  const Tensor x = full({1, 1, 4, 4}, 2);
  const auto set = [&](const char* name, float value) {
    Tensor tensor = model.state_dict().at(name);
    tensor.copy_from(Tensor::full(tensor.shape(), value));
    return values(model.predict(x))[0];
  };
  set("0.bias", 0);
  EXPECT_EQ(set("0.weight", 3), 6);
  EXPECT_EQ(set("0.weight", 4), 8);
  EXPECT_EQ(set("0.bias", 1), 9);
  EXPECT_EQ(set("1.running_mean", 5), 4);
  EXPECT_EQ(set("1.running_var", 4), 2);
  EXPECT_EQ(set("1.weight", 3), 6);
  EXPECT_EQ(set("1.bias", -1), 5);
  EXPECT_EQ(set("1.bias", -7), 0);
}

TEST_P(JoinedNorms, AFoldedPredictionKeepsNanInItsImage) {
  Sequential model{Conv2d(2, 3, {.kernel_size = 1}), BatchNorm2d(3), ReLU()};
  model.init(1).to(device());
  std::vector<float> x = reference::random_floats(2 * 2 * 36, 4);
  x[0] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> y = values(model.predict(tensor(x, {2, 2, 6, 6})));
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_EQ(std::isnan(y[i]), i < 108 && i % 36 == 0) << i;
}

TEST_P(JoinedNorms, AModeThatChangesBeforeTheBackwardLeavesItAlone) {
  const Tensor x = random_tensor({3, 4, 5, 5}, 1);
  const auto grads = [&](bool changes) {
    Sequential model{BatchNorm2d(4), ReLU()};
    model.to(device()).set_input_grad(true);
    draw_norms(model);
    const Tensor y = model(x);
    if (changes) model.eval();
    return values(model.backward(random_tensor(y.shape(), 2)));
  };
  EXPECT_EQ(grads(true), grads(false));
}

TEST_P(JoinedNorms, AFrozenNormScalesTheGradientAndKeepsItsStatistics) {
  Sequential joined{Conv2d(2, 4, {.kernel_size = 1}), BatchNorm2d(4), ReLU()};
  OneByOne plain(Sequential{Conv2d(2, 4, {.kernel_size = 1}), BatchNorm2d(4), ReLU()});
  joined.set_input_grad(true);
  for (Module* model : {static_cast<Module*>(&joined), static_cast<Module*>(&plain)}) {
    model->init(3).to(device());
    draw_norms(*model);
  }
  joined.at("1").freeze();
  plain.layers.at("1").freeze();
  const Tensor x = random_tensor({3, 2, 4, 4}, 1);
  const std::vector<float> before = values(joined.at("1").buffers()[0]);
  const Tensor y = joined(x), dy = random_tensor(y.shape(), 2);
  EXPECT_EQ(values(plain(x)), values(y));
  EXPECT_EQ(values(joined.backward(dy)), values(plain.backward(dy)));
  EXPECT_EQ(values(joined.at<Conv2d>("0").weight().grad()), values(plain.layers.at<Conv2d>("0").weight().grad()));
  EXPECT_FALSE(joined.at<BatchNorm2d>("1").weight().has_grad());
  EXPECT_EQ(values(joined.at("1").buffers()[0]), before);
}

TEST_P(JoinedNorms, AHookSeesWhatComesBeforeTheRelu) {
  Sequential model{BatchNorm2d(4), ReLU()};
  model.to(device());
  const Tensor x = random_tensor({3, 4, 5, 5}, 1);
  const std::vector<float> joined = values(model(x));
  std::vector<float> seen;
  model.at("0").register_forward_hook([&](const Module&, const Tensor&, const Tensor& y) { seen = values(y); });
  EXPECT_EQ(values(model(x)), joined);
  ASSERT_EQ(seen.size(), joined.size());
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(joined[i], std::max(seen[i], 0.0F));
}

/// The layers of a residual block's body, which end in a BatchNorm2d.
std::vector<Child> body(bool projects) {
  std::vector<Child> layers;
  layers.emplace_back("conv1", Conv2d(6, 8, {.kernel_size = 3, .stride = projects ? 2 : 1, .padding = 1, .bias = false}));
  layers.emplace_back("bn1", BatchNorm2d(8));
  layers.emplace_back("relu", ReLU());
  layers.emplace_back("conv2", Conv2d(8, projects ? 10 : 6, {.kernel_size = 1, .bias = false}));
  layers.emplace_back("bn2", BatchNorm2d(projects ? 10 : 6));
  return layers;
}

Sequential shortcut() { return Sequential{Conv2d(6, 10, {.kernel_size = 1, .stride = 2}), BatchNorm2d(10)}; }

ResidualBlock block(bool projects) {
  if (projects) return ResidualBlock(body(true), {"shortcut", shortcut()});
  return ResidualBlock(body(false));
}

/// The same with a sum and a ReLU of their own, and the parameters in the same order.
Sequential nested(bool projects) {
  if (projects) return Sequential{Residual({"body", Sequential(body(true))}, {"shortcut", shortcut()}), ReLU()};
  return Sequential{Residual(Sequential(body(false))), ReLU()};
}

TEST_P(JoinedNorms, AResidualBlockGivesTheBitsOfItsSumAndItsRelu) {
  const Shape shape{3, 6, 7, 5};
  for (const bool projects : {false, true}) {
    for (const bool training : {true, false}) {
      for (const bool nan : {false, true}) {
        SCOPED_TRACE(std::string(projects ? "with" : "without") + " a projection" + (training ? "" : ", in eval mode") +
                     (nan ? ", with NaN" : ""));
        ResidualBlock joined = block(projects);
        Sequential apart = nested(projects);
        for (Module* model : {static_cast<Module*>(&joined), static_cast<Module*>(&apart)}) {
          model->init(3).to(device()).train(training);
          model->set_input_grad(true);
          draw_norms(*model);
        }
        std::vector<float> x = reference::random_floats(shape.numel(), 4);
        if (nan) x[30] = std::numeric_limits<float>::quiet_NaN();
        const Tensor input = tensor(x, shape);
        for (const unsigned seed : {5U, 6U}) expect_same(run(joined, input, seed), run(apart, input, seed));
        expect_close(values(joined.predict(input)), as_doubles(values(apart.predict(input))), kFolded);
      }
    }
  }
}

/// On the CPU Winograd computes these, whose epilogue takes the sum and the gradient of the shortcut.
TEST_P(JoinedNorms, AResidualBlockOfManyChannelsGivesTheBitsOfItsSum) {
  const auto layers = [] {
    std::vector<Child> made;
    for (const std::string number : {"1", "2"}) {
      if (number == "2") made.emplace_back("relu", ReLU());
      made.emplace_back("conv" + number, Conv2d(16, 16, {.kernel_size = 3, .padding = 1, .bias = false}));
      made.emplace_back("bn" + number, BatchNorm2d(16));
    }
    return made;
  };
  const Shape shape{3, 16, 7, 6};
  const Tensor input = tensor(reference::random_floats(shape.numel(), 4), shape);
  for (const bool training : {true, false}) {
    SCOPED_TRACE(training);
    ResidualBlock joined(layers());
    Sequential apart{Residual(Sequential(layers())), ReLU()};
    for (Module* model : {static_cast<Module*>(&joined), static_cast<Module*>(&apart)}) {
      model->init(3).to(device()).train(training);
      model->set_input_grad(true);
      draw_norms(*model);
    }
    for (const unsigned seed : {5U, 6U}) expect_same(run(joined, input, seed), run(apart, input, seed));
    expect_close(values(joined.predict(input)), as_doubles(values(apart.predict(input))), kFolded);
  }
}

TEST_P(JoinedNorms, AHookInAResidualBlockSeesTheNormAlone) {
  ResidualBlock joined = block(false), hooked = block(false);
  std::vector<float> seen;
  for (ResidualBlock* model : {&joined, &hooked}) model->init(3).to(device()).set_input_grad(true);
  hooked.at("bn2").register_full_backward_hook([&](const Module&, const Tensor&, const Tensor& dy) { seen = values(dy); });
  const Tensor x = random_tensor({3, 6, 7, 5}, 1);
  const Result expected = run(hooked, x, 2);
  expect_same(run(joined, x, 2), expected);
  const std::vector<float> dy = values(random_tensor({3, 6, 7, 5}, 2));
  ASSERT_EQ(seen.size(), dy.size());
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], expected.y[i] <= 0 ? 0 : dy[i]);
}

TEST_P(JoinedNorms, AFrozenBodyLeavesTheGradientOfTheShortcut) {
  ResidualBlock joined = block(true);
  Sequential apart = nested(true);
  for (Module* model : {static_cast<Module*>(&joined), static_cast<Module*>(&apart)}) {
    model->init(3).to(device()).set_input_grad(false);
    const std::string prefix = model == &joined ? "" : "0.body.";
    for (const char* name : {"conv1", "bn1", "conv2", "bn2"}) model->at(prefix + name).freeze();
  }
  const Tensor x = random_tensor({3, 6, 7, 5}, 1), y = joined(x), dy = random_tensor(y.shape(), 2);
  EXPECT_EQ(values(apart(x)), values(y));
  EXPECT_FALSE(joined.backward(dy).defined());
  apart.backward(dy);
  int learned = 0;
  for (std::size_t i = 0; i < joined.parameters().size(); ++i) {
    const Parameter parameter = joined.parameters()[i];
    EXPECT_EQ(parameter.has_grad(), parameter.name().starts_with("shortcut")) << parameter.name();
    if (!parameter.has_grad()) continue;
    ++learned;
    EXPECT_EQ(values(parameter.grad()), values(apart.parameters()[i].grad())) << parameter.name();
  }
  EXPECT_EQ(learned, 4);
}

TEST_P(JoinedNorms, GradientsAreThoseOfTheDifferenceQuotients) {
  Sequential model{Conv2d(2, 6, {.kernel_size = 3, .padding = 1}), BatchNorm2d(6), ReLU(), block(false), block(true)};
  model.init(1).to(device());
  const GradcheckResult result = gradcheck(model, {3, 2, 4, 4});
  EXPECT_GT(result.compared, 50);
  EXPECT_LT(result.skipped, result.compared / 4);
}

}  // namespace
}  // namespace gpucnn
