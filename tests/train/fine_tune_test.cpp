#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/fit.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "device_test.h"
#include "layers/layers.h"
#include "misuse.h"

// Training a model of which a part is frozen, and whose head was replaced: by each way to train.
namespace gpucnn {
namespace {

/// [N, 3, 4, 4] -> [N, 3].
Sequential network() {
  return Sequential{{"body", Sequential{Conv2d(3, 6, {.kernel_size = 3, .padding = 1}), BatchNorm2d(6), ReLU(), Dropout(0.5),
                                        Residual(Sequential{Conv2d(6, 6, {.kernel_size = 1}), BatchNorm2d(6)})}},
                    {"pool", Sequential{AdaptiveAvgPool2d(1), Flatten()}},
                    {"fc", Linear(6, 3)}};
}

/// 25 images of random bytes with labels 0, 1, 2, 0, …
TensorDataset images(Device device) {
  std::vector<std::uint8_t> pixels;
  for (const float value : reference::random_floats(25 * 48, 1)) pixels.push_back(static_cast<std::uint8_t>((value + 1) * 127));
  std::vector<std::int32_t> labels(25);
  for (std::size_t n = 0; n < labels.size(); ++n) labels[n] = static_cast<std::int32_t>(n % 3);
  return TensorDataset(Tensor::from(pixels, {25, 3, 4, 4}), Tensor::from(labels, {25})).to(device);
}

/// Every tensor of a module.
std::vector<std::vector<float>> state_of(Module& module) {
  std::vector<std::vector<float>> all;
  for (const auto& [name, tensor] : module.state_dict()) {
    all.push_back(tensor.dtype() == DType::f32 ? values(tensor) : std::vector<float>());
    for (const std::int64_t count : tensor.dtype() == DType::i64 ? tensor.to_vector<std::int64_t>() : std::vector<std::int64_t>()) {
      all.back().push_back(static_cast<float>(count));
    }
  }
  return all;
}

class FineTuneTest : public DeviceTest {
 protected:
  /// A model that has learned something, so that its statistics are its own, with a frozen body.
  Sequential frozen_body() const {
    Sequential model = network();
    model.init(3).to(device());
    for (unsigned i = 0; i < 3; ++i) model(random_tensor({10, 3, 4, 4}, i, device()));
    model.at("body").freeze();
    return model;
  }
  DataLoader loader() const { return DataLoader(images(device()), {.batch_size = 10, .shuffle = true, .seed = 5}); }
};
INSTANTIATE_TEST_SUITE_P(Devices, FineTuneTest, devices(), device_name);

void run_epoch(Trainer& trainer) {
  trainer.start_epoch();
  while (trainer.step()) {
  }
  trainer.finish();
}

TEST_P(FineTuneTest, AFrozenBodyStaysBitForBitHoweverTheHeadIsTrained) {
  std::vector<std::vector<std::vector<float>>> heads;
  for (const std::string how : {"TrainStep", "Trainer", "fit", "fit of a clone"}) {
    SCOPED_TRACE(how);
    Sequential original = frozen_body();
    std::optional<Sequential> twin;
    if (how == "fit of a clone") twin = original.clone<Sequential>();
    Sequential& model = twin ? *twin : original;
    const auto body = state_of(model.at("body")), head = state_of(model.at("fc"));
    Adam optimizer(model.parameters(), {.lr = 1e-2, .weight_decay = 0.1});
    ExponentialMovingAverage average(model, {.decay = 0.9});
    const StepOptions options{.clip_grad_norm = 1.0, .ema = &average};
    DataLoader train = loader(), test = loader();
    if (how == "TrainStep") {
      TrainStep step(model, optimizer, options);
      for (int epoch = 0; epoch < 3; ++epoch) {
        for (const Batch& batch : train) step(batch);
      }
    } else if (how == "Trainer") {
      Trainer trainer(model, optimizer, train, options);
      for (int epoch = 0; epoch < 3; ++epoch) run_epoch(trainer);
    } else {
      fit(model, optimizer, train, test, {.epochs = 3, .step = options});
    }
    EXPECT_EQ(state_of(model.at("body")), body);
    EXPECT_NE(state_of(model.at("fc")), head);
    EXPECT_TRUE(model.at("body").frozen() && model.training());
    heads.push_back(state_of(model.at("fc")));
    EXPECT_EQ(average.n_averaged(), 9);
    average.copy_to(model);
    EXPECT_EQ(state_of(model.at("body")), body) << "averages of what stays are what stays";
  }
  EXPECT_EQ(heads[1], heads[0]);
  EXPECT_EQ(heads[2], heads[0]);
  EXPECT_EQ(heads[3], heads[0]);
}

TEST_P(FineTuneTest, ABodyMayBeFrozenAndLearnedAgainWhileATrainerRuns) {
  std::vector<std::vector<std::vector<float>>> results;
  for (const bool captured : {true, false}) {
    Sequential model = frozen_body();
    Adam optimizer(model.parameters(), {.lr = 1e-2});
    DataLoader train = loader();
    Trainer trainer(model, optimizer, train);
    TrainStep step(model, optimizer);
    const auto epoch = [&] {
      if (captured) return run_epoch(trainer);
      for (const Batch& batch : train) step(batch);
    };
    const auto frozen = state_of(model.at("body"));
    epoch();
    epoch();
    EXPECT_EQ(state_of(model.at("body")), frozen);
    model.at("body").freeze(false);
    epoch();
    epoch();
    EXPECT_EQ(model.state_dict().at("body.1.num_batches_tracked").to_vector<std::int64_t>(), std::vector<std::int64_t>{9});
    const auto learned = state_of(model.at("body"));
    EXPECT_NE(learned, frozen);
    model.at("body").freeze();
    epoch();
    epoch();
    EXPECT_EQ(state_of(model.at("body")), learned);
    results.push_back(state_of(model));
  }
  for (std::size_t i = 0; i < results[0].size(); ++i) expect_close(results[0][i], as_doubles(results[1][i]), kSum);
}

/// Statistics without parameters: only the modes tell that a step is another.
TEST_P(FineTuneTest, FreezingWhatHasNoParametersCountsToo) {
  Sequential model{{"norm", BatchNorm2d(3, {.affine = false})}, {"fc", Sequential{Flatten(), Linear(48, 3)}}};
  model.to(device());
  SGD optimizer(model.parameters(), {.lr = 1e-2});
  DataLoader train = loader();
  Trainer trainer(model, optimizer, train);
  run_epoch(trainer);
  run_epoch(trainer);
  model.at("norm").freeze();
  const auto norm = state_of(model.at("norm"));
  run_epoch(trainer);
  run_epoch(trainer);
  EXPECT_EQ(state_of(model.at("norm")), norm);
  EXPECT_EQ(norm.back(), std::vector<float>{6});
}

TEST_P(FineTuneTest, FitLeavesModesAsTheyWereBehindAFreeze) {
  for (const bool training : {true, false}) {
    Sequential model = frozen_body();
    model.train(training);
    SGD optimizer(model.parameters(), {.lr = 1e-2});
    DataLoader train = loader(), test = loader();
    const auto thaw_in_the_second = [&](const EpochResult& last) {
      Module& body = model.at("body").freeze(last.epoch != 1);
      EXPECT_EQ(body.training(), last.epoch == 1) << "learned again within fit: in training";
    };
    fit(model, optimizer, train, test, {.epochs = 2, .on_epoch = thaw_in_the_second});
    EXPECT_EQ(model.training(), training);
    EXPECT_EQ(model.at("body").freeze(false).training(), training);
    EXPECT_EQ(model.at("body.1").training(), training);
  }
}

TEST_P(FineTuneTest, AnOptimizerOfALayerThatWasReplacedIsRefused) {
  Sequential model = network();
  model.to(device());
  DataLoader train = loader(), test = loader();
  const Batch batch = *train.begin();
  SGD before(model.parameters(), {.lr = 0.1});
  TrainStep step(model, before);
  Trainer trainer(model, before, train);
  step(batch);
  model.at<Linear>("fc") = Linear(6, 4);
  const auto refused = misuse("Optimizer: has another fc.weight than the model, as of a layer that was replaced since");
  EXPECT_THAT([&] { step(batch); }, refused);
  EXPECT_THAT([&] { run_epoch(trainer); }, refused);
  EXPECT_THAT([&] { TrainStep(model, before); }, refused);
  EXPECT_THAT([&] { fit(model, before, train, test, {.epochs = 1}); }, refused);
  // By hand it is as in PyTorch: the old layer's parameters have no gradient, and the new ones are nobody's.
  const std::vector<float> head = values(model.at<Linear>("fc").weight().value());
  CrossEntropyLoss criterion;
  before.zero_grad();
  static_cast<void>(criterion(model(batch.inputs), batch.labels));
  model.backward(criterion.backward());
  EXPECT_NO_THROW(before.step());
  EXPECT_EQ(values(model.at<Linear>("fc").weight().value()), head);
  SGD after(model.parameters(), {.lr = 0.1});
  TrainStep(model, after)(batch);
  EXPECT_NE(values(model.at<Linear>("fc").weight().value()), head);
}

TEST_P(FineTuneTest, AnOptimizerFollowsTheModelThoughItsFirstLayerWasReplaced) {
  Sequential model{{"first", Linear(3, 3)}, {"second", Linear(3, 2)}};
  SGD optimizer(model.parameters(), {.lr = 0.1, .momentum = 0.9});
  model.at<Linear>("first") = Linear(3, 3);
  model.to(device());
  const std::vector<float> before = values(model.at<Linear>("second").weight().value());
  model.backward(model(random_tensor({2, 3}, 1, device())));
  EXPECT_NO_THROW(optimizer.step());
  EXPECT_NE(values(model.at<Linear>("second").weight().value()), before);
}

TEST_P(FineTuneTest, OptimizersOfAPartOrOfMoreThanTheModelAreTaken) {
  Sequential model = frozen_body(), other = network();
  const Batch batch = *loader().begin();
  SGD of_head(model.at("fc").parameters(), {.lr = 0.1});
  EXPECT_NO_THROW(TrainStep(model, of_head)(batch));
  std::vector<Parameter> both = model.parameters();
  other.to(device());
  for (const Parameter& parameter : other.parameters()) both.push_back(parameter);
  SGD of_both(both, {.lr = 0.1});
  EXPECT_NO_THROW(TrainStep(model, of_both)(batch));
  SGD of_other(other.parameters(), {.lr = 0.1});
  EXPECT_THAT([&] { TrainStep(model, of_other); }, misuse("Optimizer: has another fc.weight than the model"))
      << "the frozen body need not be held";
  model.at<Linear>("fc") = Linear(6, 3);
  model.at("fc").freeze();
  EXPECT_NO_THROW(TrainStep(model, of_head)) << "what replaced the layer is not to learn";
}

}  // namespace
}  // namespace gpucnn
