#include <gpucnn/train/train_step.h>

#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/sgd.h>

#include "close.h"
#include "device_test.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/softmax_cross_entropy.h"

namespace gpucnn {
namespace {

using reference::Values;

Sequential small_model() { return Sequential{Flatten(), Linear(12, 8), Dropout(0.5), Linear(8, 3)}; }

Batch batch_of(std::int64_t size, unsigned seed, Device device = {}) {
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < size; ++i) labels.push_back(static_cast<std::int32_t>(i % 3));
  return {random_tensor({size, 3, 2, 2}, seed).to(device), Tensor::from(labels, {size}, device)};
}

class TrainStepTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, TrainStepTest, devices(), device_name);

TEST_P(TrainStepTest, IsForwardLossBackwardUpdate) {
  Sequential stepped = small_model(), by_hand = small_model();
  stepped.to(device());
  by_hand.to(device());
  Adam stepped_optimizer(stepped.parameters()), optimizer(by_hand.parameters());
  TrainStep step(stepped, stepped_optimizer);
  CrossEntropyLoss criterion;
  for (unsigned i = 0; i < 3; ++i) {
    const Batch batch = batch_of(5, i, device());
    const Metrics metrics = step(batch);
    optimizer.zero_grad();
    const Tensor logits = by_hand(batch.inputs);
    const Tensor loss = criterion(logits, batch.labels);
    by_hand.backward(criterion.backward());
    optimizer.step();
    EXPECT_EQ(all_values(stepped), all_values(by_hand));
    EXPECT_EQ(metrics.images, 5);
    EXPECT_NEAR(metrics.loss(), static_cast<double>(loss.item()), 1e-6);
    std::int64_t correct = 0;
    for (std::size_t n = 0; n < 5; ++n) {
      const std::vector<float> row = values(logits.narrow(static_cast<std::int64_t>(n), 1));
      correct += std::ranges::max_element(row) - row.begin() == static_cast<std::ptrdiff_t>(n % 3);
    }
    EXPECT_EQ(metrics.correct, correct);
  }
  EXPECT_EQ(step.steps(), 3);
}

TEST(TrainStep, TakesLabelsOfAnyIntegerDtype) {
  const std::vector<std::uint8_t> bytes{2, 0};
  const std::vector<std::int64_t> longs{2, 0};
  std::vector<float> expected;
  for (const Tensor& labels :
       {Tensor::from(std::vector<std::int32_t>{2, 0}, {2}), Tensor::from(bytes, {2}), Tensor::from(longs, {2})}) {
    SCOPED_TRACE(name_of(labels.dtype()));
    Sequential model = small_model();
    SGD optimizer(model.parameters());
    const Batch batch{random_tensor({2, 3, 2, 2}, 1), labels};
    TrainStep step(model, optimizer);
    EXPECT_EQ(step(batch).images, 2);
    EXPECT_EQ(evaluate(model, batch).images, 2);
    if (expected.empty()) expected = all_values(model);
    EXPECT_EQ(all_values(model), expected);
  }
}

TEST_P(TrainStepTest, ALossThatIsNotFiniteChangesNoParameter) {
  Sequential model = small_model();
  model.to(device());
  Adam optimizer(model.parameters());
  TrainStep step(model, optimizer);
  step(batch_of(4, 1, device()));
  const std::vector<float> before = all_values(model);
  Batch broken = batch_of(4, 2);
  broken.inputs.data<float>()[3] = std::numeric_limits<float>::quiet_NaN();
  broken = {broken.inputs.to(device()), broken.labels.to(device())};
  for (std::int64_t number : {2, 3}) {
    try {
      step(broken);
      FAIL() << "no error";
    } catch (const NonFiniteLoss& error) {
      EXPECT_EQ(error.step(), number);
      EXPECT_EQ(error.what(), "the loss became nan at step " + std::to_string(number) + "; try a smaller learning rate");
    }
    EXPECT_EQ(all_values(model), before);
    EXPECT_EQ(step.steps(), number);
  }
  EXPECT_NO_THROW(step(batch_of(4, 3, device())));
  EXPECT_NE(all_values(model), before);
}

TEST(TrainStep, RefusesLabelsThatDoNotFit) {
  Sequential model = small_model();
  SGD optimizer(model.parameters());
  TrainStep step(model, optimizer);
  const std::vector<float> before = all_values(model);
  EXPECT_THAT([&] { step({random_tensor({2, 3, 2, 2}, 1), Tensor::zeros({3}, DType::i32)}); }, misuse("CrossEntropyLoss"));
  EXPECT_THAT([&] { step({random_tensor({1, 3, 2, 2}, 1), Tensor::full({1}, 3)}); }, misuse("u8, i32 or i64"));
  EXPECT_THAT([&] { step({random_tensor({1, 3, 2, 2}, 1), Tensor::from(std::vector<std::int32_t>{3}, {1})}); }, misuse("3"));
  EXPECT_EQ(all_values(model), before);
}

TEST_P(TrainStepTest, EvaluateJudgesInEvalModeAndLearnsNothing) {
  Sequential model = small_model();
  model.to(device());
  const Batch batch = batch_of(7, 1, device());
  const std::vector<float> before = all_values(model);
  const Tensor logits = model.predict(batch.inputs);
  const double loss =
      reference::softmax_cross_entropy(7, 3, reference::widen(values(logits)), batch.labels.to_vector<std::int32_t>()).loss;
  const Metrics first = evaluate(model, batch), second = evaluate(model, batch);
  expect_close(std::vector<double>{first.loss()}, Values{loss}, kPointwise);
  EXPECT_EQ(first.loss_sum, second.loss_sum);
  EXPECT_EQ(first.images, 7);
  EXPECT_TRUE(model.training());
  EXPECT_EQ(all_values(model), before);
  EXPECT_FALSE(model.parameters()[0].has_grad());
}

}  // namespace
}  // namespace gpucnn
