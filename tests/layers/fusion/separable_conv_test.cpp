#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/activation/tanh.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/fusion/fuse.h>
#include <gpucnn/layers/pool/max_pool2d.h>

#include "close.h"
#include "layers/fusion/one_by_one.h"
#include "layers/layers.h"

// Depthwise separable convolutions that a prediction takes through the cache in bands give what their layers give one by one.
namespace gpucnn {
namespace {

Conv2d depthwise(int channels, int stride = 1) {
  return {channels, channels, {.kernel_size = 3, .stride = stride, .padding = 1, .groups = channels}};
}
Conv2d pointwise(int in_channels, int out_channels) { return {in_channels, out_channels, {.kernel_size = 1}}; }

struct Case {
  const char* name;
  Sequential (*make)();
  std::size_t stages;  // that it is joined to
};

const Case kCases[] = {
    {"pooled",
     [] {
       return Sequential{depthwise(6), ReLU(), pointwise(6, 9), ReLU(), MaxPool2d(2)};
     },
     1},
    {"several",
     [] {
       return Sequential{depthwise(6), ReLU(),           pointwise(6, 9), ReLU(),           MaxPool2d(2), depthwise(9, 2),
                         ReLU(),       pointwise(9, 17), ReLU(),          pointwise(17, 5), Flatten()};
     },
     4},
    {"without ReLUs",
     [] {
       return Sequential{depthwise(6), pointwise(6, 9), MaxPool2d(2)};
     },
     1},
    {"another activation",
     [] {
       return Sequential{depthwise(6), ReLU(), pointwise(6, 9), Tanh()};
     },
     2},
    {"another activation between",
     [] {
       return Sequential{depthwise(6), Tanh(), pointwise(6, 9), ReLU()};
     },
     2},
    {"another pooling",
     [] {
       return Sequential{depthwise(6), ReLU(), pointwise(6, 9), ReLU(), MaxPool2d(3, 2, 1)};
     },
     2},
    {"several outputs of a channel",
     [] {
       return Sequential{Conv2d(6, 12, {.kernel_size = 3, .padding = 1, .groups = 6}), ReLU(), pointwise(12, 9)};
     },
     2},
    {"a stride of the second",
     [] {
       return Sequential{depthwise(6), ReLU(), Conv2d(6, 9, {.kernel_size = 1, .stride = 2})};
     },
     2},
};

TEST(SeparableConv, IsJoined) {
  for (const Case& c : kCases) {
    Sequential model = c.make();
    std::vector<Module*> layers;
    for (std::size_t i = 0; i < model.size(); ++i) layers.push_back(&model.at(std::to_string(i)));
    EXPECT_EQ(fuse(layers).size(), c.stages) << c.name;
  }
}

TEST(SeparableConv, PredictsWhatItsLayersDo) {
  for (const Case& c : kCases) {
    for (const std::int64_t images : {0, 3, 67}) {
      SCOPED_TRACE(c.name);
      Sequential model = c.make();
      OneByOne layers(c.make());
      model.init(1);
      layers.init(1);
      const Tensor x = random_tensor({images, 6, 10, 13}, 2);
      EXPECT_EQ(values(model.predict(x)), values(layers.predict(x)));
    }
  }
}

TEST(SeparableConv, LearnsAsItsLayersDo) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    Sequential model = c.make();
    OneByOne layers(c.make());
    model.init(1);
    layers.init(1);
    model.set_input_grad(true);
    layers.layers.set_input_grad(true);
    const Tensor x = random_tensor({3, 6, 10, 13}, 2);
    const Result joined = run(model, x, 3), apart = run(layers, x, 3);
    expect_close(joined.y, as_doubles(apart.y), kSum);
    expect_close(joined.dx, as_doubles(apart.dx), kSum);
    expect_close(joined.grads, as_doubles(apart.grads), kSum);
  }
}

TEST(SeparableConv, MakesNanOfPaddingAndWhatIsNotFinite) {
  Sequential model = kCases[0].make();
  OneByOne layers(kCases[0].make());
  model.init(1);
  layers.init(1);
  for (Sequential* const of : {&model, &layers.layers}) {
    Parameter weight = static_cast<Conv2d&>(of->at("0")).weight();
    weight.value().data<float>()[0] = std::numeric_limits<float>::infinity();
  }
  const Tensor x = random_tensor({1, 6, 10, 13}, 2);
  const std::vector<float> y = values(model.predict(x));
  EXPECT_TRUE(std::isnan(y.front()));
  expect_close(y, as_doubles(values(layers.predict(x))), kSameValue);
}

}  // namespace
}  // namespace gpucnn
