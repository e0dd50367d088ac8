// Training steps whose gather and loss are in the kernels of the model's first and last layers, against the layers one by one.
#include <gpucnn/layers/module/step_ends.h>

#include <memory>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/combine/add.h>
#include <gpucnn/kernels/image/image_batch.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/loss_end.h>
#include <gpucnn/train/train_step.h>

#include "close.h"
#include "device_test.h"

namespace gpucnn {
namespace {

constexpr std::int64_t kImages = 21;

struct Head {
  int features, hidden, classes;
  bool dropout = true, bias = true;
  Precision precision = Precision::fp32;
};

const Head kHeads[] = {{36, 16, 10},
                       {70, 128, 10, false},
                       {33, 20, 3, true, false},
                       {130, 132, 32},
                       {64, 64, 5, true, true, Precision::tf32},
                       {64, 64, 5, true, true, Precision::bf16}};

Sequential network_of(const Head& head) {
  const LinearOptions options{.bias = head.bias};
  Sequential network;
  network.push_back({"hidden", Linear(head.features, head.hidden, options)});
  network.push_back({"relu", ReLU()});
  if (head.dropout) network.push_back({"dropout", Dropout(0.25)});
  network.push_back({"output", Linear(head.hidden, head.classes, options)});
  return network;
}

class StepEndsTest : public DeviceTest {
 protected:
  Tensor inputs(const Shape& shape) const { return Tensor::randn(shape, 5, device()); }
  Tensor labels(int classes) const {
    std::vector<std::int32_t> all;
    for (int n = 0; n < kImages; ++n) all.push_back(n % 7 == 6 ? -100 : n * 3 % classes);
    return tensor(all, {all.size()});
  }

  struct Results {
    std::vector<double> output, gradients;
    double loss = 0;
  };
  static void add_gradients(Module& model, Results& r) {
    for (const Parameter& parameter : model.parameters()) {
      if (!parameter.has_grad()) continue;
      for (const float value : parameter.grad().to_vector<float>()) r.gradients.push_back(static_cast<double>(value));
    }
  }

  /// Layer by layer, as a loop of one's own.
  static Results plain(Module& model, const Tensor& x, const Tensor& y) {
    CrossEntropyLoss loss;
    model.zero_grad();
    const Tensor output = model(x);
    Results r{.output = as_doubles(output.to_vector<float>()), .loss = static_cast<double>(loss(output, y).item())};
    model.backward(loss.backward());
    add_gradients(model, r);
    return r;
  }

  /// With the loss offered to the model, which takes it if `taken`.
  static Results with_end(Module& model, const Tensor& x, const Tensor& y, bool taken = true) {
    CrossEntropyLoss loss;
    model.zero_grad();
    StepEnds ends{.loss = loss_end(loss, y, true)};
    EXPECT_TRUE(ends.loss.has_value());
    const Tensor output = model(x, ends);
    EXPECT_EQ(ends.loss->is_taken(), taken);
    if (!ends.loss->is_taken()) return {};
    Results r{.output = as_doubles(output.to_vector<float>()), .loss = static_cast<double>(ends.loss->value.item())};
    model.backward(ends.loss->gradient);
    add_gradients(model, r);
    return r;
  }
};
INSTANTIATE_TEST_SUITE_P(Gpu, StepEndsTest, testing::Values(Device::cuda()), device_name);

TEST_P(StepEndsTest, TheLossTakenIsThatOfTheLayers) {
  for (const Head& head : kHeads) {
    SCOPED_TRACE(testing::Message() << head.features << " to " << head.hidden << " to " << head.classes);
    Sequential model = network_of(head);
    model.to(device()).set_precision(head.precision);
    const Tensor x = inputs({kImages, head.features}), y = labels(head.classes);
    const Results expected = plain(model, x, y);
    model.set_random_step(0);
    const Results r = with_end(model, x, y);
    const double of_largest = head.precision == Precision::fp32 ? 1e-6 : head.precision == Precision::tf32 ? 2e-3 : 2e-2;
    expect_close(r.output, expected.output, {1e-6, of_largest});
    expect_close(r.gradients, expected.gradients, {1e-6, of_largest});
    EXPECT_NEAR(r.loss, expected.loss, of_largest * 2);
  }
}

TEST_P(StepEndsTest, GradientsAreAddedToThoseThatAreThere) {
  const Head head = kHeads[1];
  Sequential model = network_of(head);
  model.to(device());
  const Tensor x = inputs({kImages, head.features}), y = labels(head.classes);
  const Results once = with_end(model, x, y);
  CrossEntropyLoss loss;
  StepEnds ends{.loss = loss_end(loss, y, false)};
  model(x, ends);
  EXPECT_FALSE(ends.loss->value.defined()) << "nobody wanted it";
  model.backward(ends.loss->gradient);
  Results twice;
  add_gradients(model, twice);
  for (std::size_t i = 0; i < once.gradients.size(); ++i) ASSERT_EQ(twice.gradients[i], 2 * once.gradients[i]) << i;
}

TEST_P(StepEndsTest, AFrozenLayerHasNoGradient) {
  const Head head = kHeads[0];
  Sequential model = network_of(head);
  model.to(device());
  model.at<Linear>("hidden").requires_grad(false);
  const Tensor x = inputs({kImages, head.features}), y = labels(head.classes);
  const Results expected = plain(model, x, y);
  model.set_random_step(0);
  const Results r = with_end(model, x, y);
  EXPECT_EQ(r.gradients.size(), static_cast<std::size_t>(head.hidden * head.classes + head.classes));
  expect_close(r.gradients, expected.gradients, kSum);
}

TEST_P(StepEndsTest, ABackwardServesOnce) {
  Sequential model = network_of(kHeads[0]);
  model.to(device());
  const Tensor x = inputs({kImages, 36}), y = labels(10);
  with_end(model, x, y);
  EXPECT_THROW(model.backward(empty({kImages, 10})), std::logic_error);
}

TEST_P(StepEndsTest, OtherEndsOfANetworkLeaveTheLossToTheStep) {
  const Tensor x = inputs({kImages, 36}), y = labels(10);
  const auto leaves = [&](Sequential model) {
    model.to(device());
    with_end(model, x, y, false);
  };
  leaves(Sequential{{"one", Linear(36, 10)}});
  leaves(Sequential{{"one", Linear(36, 16)}, {"relu", ReLU()}, {"two", Linear(16, 10)}, {"three", ReLU()}});
  leaves(Sequential{{"one", Linear(36, 18)}, {"relu", ReLU()}, {"two", Linear(18, 10)}});  // units in fours
  leaves(Sequential{{"one", Linear(36, 16)}, {"relu", ReLU()}, {"two", Linear(16, 40)}});  // at most 32 classes
}

/// Does more than its layers do.
class Scaled : public Sequential {
 public:
  using Sequential::Sequential;

 protected:
  Tensor forward(const Tensor& x, Context& context) const override {
    Tensor y = Sequential::forward(twice(x), context);
    return twice(y);
  }
  Tensor gradients(const Tensor& dy, Context& context) override { return Sequential::gradients(twice(dy), context); }

 private:
  static Tensor twice(const Tensor& x) {
    Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
    Stream stream(x.device());
    kernels::add(x, x, y, stream);
    return y;
  }
};

TEST_P(StepEndsTest, AClassThatDoesMoreThanItsLayersGetsTheBatchAndGivesItsOutput) {
  Scaled model{{"conv", Conv2d(2, 8, {.kernel_size = 3, .padding = 1})},
               {"relu", ReLU()},
               {"pool", MaxPool2d(2)},
               {"flatten", Flatten()},
               {"hidden", Linear(72, 16)},
               {"relu2", ReLU()},
               {"output", Linear(16, 10)}};
  model.to(device());
  const Tensor images = Tensor::randn({kImages, 2, 6, 6}, 3, device()), y = labels(10);
  std::vector<std::int64_t> numbers(kImages);
  std::iota(numbers.begin(), numbers.end(), 0);
  kernels::OrderedBatch batch{images, {}, tensor(numbers, {kImages}), {}, empty(images.shape()), {}};
  StepEnds ends{.gathers = &batch, .loss = loss_end(CrossEntropyLoss(), y, true)};
  const std::vector<float> output = model(batch.batch, ends).to_vector<float>();
  EXPECT_FALSE(ends.loss->is_taken());
  EXPECT_EQ(output, model(images).to_vector<float>());
}

TEST_P(StepEndsTest, OnlyAPlainCrossEntropyOfLabelsIsOffered) {
  const Tensor y = labels(10);
  EXPECT_TRUE(loss_end(CrossEntropyLoss(), y, false));
  EXPECT_EQ(loss_end(CrossEntropyLoss({.ignore_index = 3}), y, false)->ignore_index, 3);
  EXPECT_FALSE(loss_end(CrossEntropyLoss({.label_smoothing = 0.1}), y, false));
  EXPECT_FALSE(loss_end(CrossEntropyLoss({.reduction = Reduction::sum}), y, false));
  EXPECT_FALSE(loss_end(CrossEntropyLoss({.weight = Tensor::zeros({10}, DType::f32, Device::cpu())}), y, false));
  EXPECT_FALSE(loss_end(CrossEntropyLoss(), empty({kImages, 10}), false)) << "probabilities";
  EXPECT_FALSE(loss_end(CrossEntropyLoss(), y.to(Device::cpu()), false));
  class Own : public CrossEntropyLoss {};
  EXPECT_FALSE(loss_end(Own(), y, false));
}

TEST_P(StepEndsTest, HooksSeeTheLayersOneByOne) {
  Sequential model = network_of(kHeads[0]);
  model.to(device());
  int calls = 0;
  model.at("relu").register_forward_hook([&](const Module&, const Tensor&, const Tensor&) { ++calls; });
  SGD optimizer(model.parameters(), {.lr = 0.1});
  TrainStep step(model, optimizer);
  step({inputs({kImages, 36}), labels(10)});
  EXPECT_EQ(calls, 1);
}

TEST_P(StepEndsTest, ANetworkThatDoesNotGatherFindsItsBatch) {
  const Tensor images = Tensor::randn({9, 2, 6, 6}, 3, device()), order = tensor<std::int64_t>({4, 1, 8, 0}, {4});
  const auto gathered = [&](Sequential model, bool by_itself) {
    model.to(device());
    kernels::OrderedBatch batch{images, {}, order, {.flip = true, .seed = 2}, empty({4, 2, 6, 6}), {}};
    StepEnds ends{.gathers = &batch};
    const std::vector<float> y = model(batch.batch, ends).to_vector<float>();
    EXPECT_EQ(ends.gathers, nullptr);
    Tensor expected = empty({4, 2, 6, 6});
    kernels::ordered_batch(images, order, batch.transform, expected, stream());
    EXPECT_EQ(batch.batch.to_vector<float>(), expected.to_vector<float>());
    model.set_random_step(0);
    EXPECT_EQ(y, model(expected).to_vector<float>()) << by_itself;
  };
  gathered(Sequential{{"conv", Conv2d(2, 8, {.kernel_size = 3, .padding = 1})}, {"relu", ReLU()}, {"pool", MaxPool2d(2)}}, true);
  gathered(Sequential{{"flatten", Flatten()}, {"linear", Linear(72, 8)}}, false);
}

}  // namespace
}  // namespace gpucnn
