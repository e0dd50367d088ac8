#include <gpucnn/layers/norm/batch_norm2d.h>

#include <filesystem>
#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <gpucnn/io/safetensors.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>

#include "close.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/normalize.h"

namespace gpucnn {
namespace {

using reference::Values;
using reference::widen;

class BatchNorm2dLayer : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, BatchNorm2dLayer, devices(), device_name);

std::int64_t batches_of(Module& layer) { return layer.state_dict().at("num_batches_tracked").to_vector<std::int64_t>()[0]; }

TEST_P(BatchNorm2dLayer, NormalizesByTheBatchInTrainingAndByWhatItGatheredInEval) {
  BatchNorm2d layer(3);
  layer.to(device());
  const Tensor x = random_tensor({4, 3, 5, 7}, 1), dy = random_tensor({4, 3, 5, 7}, 2);
  const reference::Normalize sizes{.N = 4, .C = 3, .pixels = 35};
  const Values ones(3, 1), zeros(3), xs = widen(values(x)), dys = widen(values(dy));
  const reference::Statistics batch = reference::statistics(sizes, xs);
  expect_close(values(layer(x)), reference::normalize(sizes, xs, batch, ones, zeros), kSum);
  expect_close(values(layer.backward(dy)), reference::normalize_backward(sizes, xs, batch, ones, dys, false).dx, kSum);
  reference::Statistics gathered{zeros, ones};
  for (std::size_t c = 0; c < 3; ++c) {
    gathered.mean[c] = 0.1 * batch.mean[c];
    gathered.var[c] = 0.9 + 0.1 * batch.var[c] * 140 / 139;
  }
  expect_close(values(layer.state_dict().at("running_mean")), gathered.mean, kSum);
  expect_close(values(layer.state_dict().at("running_var")), gathered.var, kSum);
  const Values expected = reference::normalize(sizes, xs, gathered, ones, zeros);
  expect_close(values(layer.predict(x)), expected, kSum);
  layer.eval();
  layer.zero_grad();
  expect_close(values(layer(x)), expected, kSum);
  const auto gradients = reference::normalize_backward(sizes, xs, gathered, ones, dys, true);
  expect_close(values(layer.backward(dy)), gradients.dx, kSum);
  expect_close(values(layer.weight().grad()), gradients.dweight, kSum);
  expect_close(values(layer.bias().grad()), gradients.dbias, kSum);
  EXPECT_EQ(batches_of(layer), 1);
}

TEST_P(BatchNorm2dLayer, OnlyTrainingForwardsChangeItsBuffers) {
  BatchNorm2d layer(2);
  layer.to(device());
  const Tensor x = random_tensor({3, 2, 2, 2}, 1);
  layer.predict(x);
  layer.eval()(x);
  EXPECT_EQ(batches_of(layer), 0);
  EXPECT_EQ(values(layer.state_dict().at("running_var")), (std::vector<float>{1, 1}));
  layer.train()(x);
  layer(x);
  EXPECT_EQ(batches_of(layer), 2);
}

TEST_P(BatchNorm2dLayer, WithoutTrackingItUsesTheBatchInEvalToo) {
  BatchNorm2d layer(2, {.affine = false, .track_running_stats = false});
  layer.to(device());
  const Tensor x = random_tensor({3, 2, 2, 2}, 1);
  EXPECT_TRUE(layer.state_dict().empty());
  const std::vector<float> y = values(layer(x));
  EXPECT_EQ(values(layer.predict(x)), y);
  EXPECT_EQ(values(layer.eval()(x)), y);
}

TEST_P(BatchNorm2dLayer, RefusesTheStatisticsOfOneValue) {
  Sequential model{Conv2d(3, 4, {.kernel_size = 2}), BatchNorm2d(4)};
  model.to(device());
  const Tensor x = random_tensor({1, 3, 2, 2}, 1);
  EXPECT_THAT([&] { model(x); }, misuse("1 BatchNorm2d: expected more than 1 value per channel, got [1, 4, 1, 1]"));
  EXPECT_EQ(model.predict(x).shape(), (Shape{1, 4, 1, 1}));
  BatchNorm2d untracked(3, {.track_running_stats = false});
  untracked.to(device());
  EXPECT_THAT([&] { untracked.predict(random_tensor({1, 3, 1, 1}, 1)); }, misuse("expected more than 1 value per channel"));
}

TEST_P(BatchNorm2dLayer, AnEmptyBatchGivesNothingAndIsCounted) {
  BatchNorm2d layer(2);
  layer.to(device());
  EXPECT_EQ(layer(zeros({0, 2, 3, 3})).shape(), (Shape{0, 2, 3, 3}));
  layer.backward(zeros({0, 2, 3, 3}));
  EXPECT_EQ(values(layer.weight().grad()), (std::vector<float>{0, 0}));
  EXPECT_EQ(batches_of(layer), 1);
}

TEST_P(BatchNorm2dLayer, ItsStateGoesThroughAFile) {
  const auto file = std::filesystem::path(::testing::TempDir()) / fmt::format("norm_{}.safetensors", device().string());
  BatchNorm2d layer(3), other(3);
  layer.to(device());
  other.to(device());
  layer(random_tensor({2, 3, 2, 2}, 1));
  layer(random_tensor({2, 3, 2, 2}, 2));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : layer.state_dict()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}));
  EXPECT_EQ(layer.state_dict().at("num_batches_tracked").shape(), Shape{});
  save_safetensors(file, layer.state_dict());
  other.load_state_dict(load_safetensors(file).first);
  std::filesystem::remove(file);
  EXPECT_EQ(batches_of(other), 2);
  other.init(5);
  EXPECT_EQ(batches_of(other), 2);
  const Tensor x = random_tensor({2, 3, 2, 2}, 3);
  EXPECT_EQ(values(other.predict(x)), values(layer.predict(x)));
}

TEST(BatchNorm2d, RefusesOptionsAndShapesThatMakeNoSense) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_THAT([] { BatchNorm2d(0); }, misuse("BatchNorm2d: num_features must be at least 1, got 0"));
  EXPECT_THAT([] { BatchNorm2d(1, {.eps = -1}); }, misuse("BatchNorm2d: eps must be finite in f32 and at least 0, got -1"));
  EXPECT_THAT([] { BatchNorm2d(1, {.eps = 1e300}); }, misuse("BatchNorm2d: eps must be finite in f32 and at least 0, got 1e+300"));
  EXPECT_THAT([] { BatchNorm2d(1, {.momentum = 1e300}); }, misuse("BatchNorm2d: momentum must be finite in f32, got 1e+300"));
  EXPECT_THAT([=] { BatchNorm2d(1, {.momentum = kInfinity}); }, misuse("BatchNorm2d: momentum must be finite"));
  BatchNorm2d layer(3);
  EXPECT_THAT([&] { layer(Tensor::zeros({2, 4, 2, 2})); }, misuse("BatchNorm2d: expects [N, 3, H, W], got [2, 4, 2, 2]"));
  EXPECT_THAT([&] { layer(Tensor::zeros({2, 3})); }, misuse("BatchNorm2d: expects [N, 3, H, W], got [2, 3]"));
}

}  // namespace
}  // namespace gpucnn
