#include <gpucnn/train/evaluator.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/data/sampling/subset.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/losses/mse_loss.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/train/train_step.h>

#include "cuda_on_cpu/standins/standin.h"
#include "device_test.h"

namespace gpucnn {
namespace {

constexpr std::int64_t kImages = 22, kBatch = 4;

Sequential network() {
  return {{"conv", Conv2d(2, 4, {.kernel_size = 3, .padding = 1})},
          {"norm", BatchNorm2d(4)},
          {"relu", ReLU()},
          {"flatten", Flatten()},
          {"dropout", Dropout(0.5)},
          {"fc", Linear(4 * 36, 3)}};
}

class EvaluatorTest : public DeviceTest {
 protected:
  std::shared_ptr<const TensorDataset> dataset(std::vector<std::int32_t> labels = {}) const {
    for (std::int64_t i = std::ssize(labels); i < kImages; ++i) labels.push_back(static_cast<std::int32_t>(i % 3));
    return std::make_shared<TensorDataset>(Tensor::randn({kImages, 2, 6, 6}, 3, device()), tensor(labels, {kImages}));
  }

  static bool never() { return false; }

  static Metrics one_by_one(const Module& model, Loss& loss, DataLoader& loader) {
    Metrics all;
    for (const Batch& batch : loader) all += evaluate(model, loss, batch);
    return all;
  }

  static void expect_same(const std::optional<Metrics>& judged, const Metrics& expected) {
    ASSERT_TRUE(judged.has_value());
    EXPECT_EQ(judged->correct, expected.correct);
    EXPECT_EQ(judged->images, expected.images);
    EXPECT_EQ(judged->ignored, expected.ignored);
    if (std::isnan(expected.loss_sum)) {
      EXPECT_TRUE(std::isnan(judged->loss_sum));
    } else {
      EXPECT_EQ(judged->loss_sum, expected.loss_sum);
    }
  }

  /// Judges three epochs, and the model changes in between as `change(model)` says.
  template <class Change>
  void follow(const std::shared_ptr<const Dataset>& examples, const DataLoaderOptions& options, Loss& loss, const Change& change) {
    DataLoader loader(examples, options), twin(examples, options);
    Sequential model = network();
    model.to(device());
    const std::unique_ptr<Evaluator> evaluator = Evaluator::of(model, loss, loader);
    for (int epoch = 0; epoch < 3; ++epoch) {
      SCOPED_TRACE(epoch);
      expect_same((*evaluator)(never), one_by_one(model, loss, twin));
      change(model);
    }
  }
  static void nothing(Module&) {}
};
INSTANTIATE_TEST_SUITE_P(Devices, EvaluatorTest, devices(), device_name);

TEST_P(EvaluatorTest, GivesWhatEvaluateGives) {
  CrossEntropyLoss loss;
  const DataLoaderOptions options{.batch_size = kBatch, .shuffle = true, .normalize = Normalize{{0.5, 0.5}, {0.25, 0.25}}};
  follow(dataset(), options, loss, nothing);
}

TEST_P(EvaluatorTest, SeesWhatBecomesOfTheModel) {
  CrossEntropyLoss loss;
  const DataLoaderOptions options{.batch_size = kBatch};
  const auto of = [&](const auto& change) { follow(dataset(), options, loss, change); };
  of([](Module& model) { model.init(7); });
  of([](Sequential& model) { model.at<Linear>("fc") = Linear(4 * 36, 3); });
  of([](Module& model) { model.train(!model.training()); });
  if (device().kind == Device::Kind::cuda) {
    of([](Module& model) { model.set_precision(model.precision() == Precision::fp32 ? Precision::bf16 : Precision::fp32); });
  }
}

TEST_P(EvaluatorTest, TakesSubsetsAndOtherLosses) {
  CrossEntropyLoss plain, summed({.reduction = Reduction::sum});
  MSELoss squares;
  const DataLoaderOptions options{.batch_size = kBatch};
  const auto part = std::make_shared<Subset>(dataset(), std::vector<std::int64_t>{5, 1, 20, 3, 3, 9, 11});
  follow(part, options, plain, nothing);
  follow(dataset(), options, summed, nothing);
  const auto targets =
      std::make_shared<TensorDataset>(Tensor::randn({kImages, 2, 6, 6}, 3, device()), Tensor::randn({kImages, 3}, 4, device()));
  follow(targets, options, squares, nothing);
}

TEST_P(EvaluatorTest, ABatchOfIgnoredLabelsHasNoLoss) {
  CrossEntropyLoss loss;
  const auto ignored = dataset({0, 1, 2, -100, -100, -100, -100, -100});
  const DataLoaderOptions options{.batch_size = kBatch};
  follow(ignored, options, loss, nothing);
}

TEST_P(EvaluatorTest, ALossThatIsNotFiniteShows) {
  CrossEntropyLoss loss;
  const DataLoaderOptions options{.batch_size = kBatch};
  follow(dataset(), options, loss, [this](Sequential& model) {
    model.at<Linear>("fc").bias().value().copy_from(tensor({std::numeric_limits<float>::quiet_NaN(), 0, 0}));
  });
}

TEST_P(EvaluatorTest, RefusesALabelThatIsNoClass) {
  CrossEntropyLoss loss;
  Sequential model = network();
  model.to(device());
  DataLoader loader(dataset({0, 1, 2, 0, 1, 2, 0, 1, 3}), {.batch_size = kBatch});
  EXPECT_THROW((*Evaluator::of(model, loss, loader))(never), std::invalid_argument);
}

TEST_P(EvaluatorTest, EndsWhereItIsStopped) {
  CrossEntropyLoss loss;
  Sequential model = network();
  model.to(device());
  DataLoader loader(dataset(), {.batch_size = kBatch}), twin(dataset(), {.batch_size = kBatch});
  const std::unique_ptr<Evaluator> evaluator = Evaluator::of(model, loss, loader);
  int batches = 0;
  EXPECT_FALSE((*evaluator)([&] { return ++batches == 3; }));
  EXPECT_EQ(batches, 3);
  expect_same((*evaluator)(never), one_by_one(model, loss, twin));
}

TEST_P(EvaluatorTest, WaitsOnceAnEpochForAGpu) {
  if (device().kind != Device::Kind::cuda || !gpucnn_standin_counts) return;
  CrossEntropyLoss loss;
  Sequential model = network();
  model.to(device());
  DataLoader loader(dataset(), {.batch_size = kBatch});
  const std::unique_ptr<Evaluator> evaluator = Evaluator::of(model, loss, loader);
  for (int epoch = 0; epoch < 2; ++epoch) (*evaluator)(never);  // the last batch is smaller: it is recorded in the second
  const gpucnn_standin_calls before = gpucnn_standin_counts();
  (*evaluator)(never);
  const gpucnn_standin_calls after = gpucnn_standin_counts();
  EXPECT_EQ(after.graph_launches - before.graph_launches, loader.size());
  EXPECT_LE(after.synchronisations - before.synchronisations, 2) << "before the first batch and behind the last";
  EXPECT_LE(after.launches - before.launches, loader.size()) << "the state is set where it is another than the last batch left";
}

}  // namespace
}  // namespace gpucnn
