#include <gpucnn/layers/dropout.h>

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/flatten.h>

#include "close.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/dropout.h"

namespace gpucnn {
namespace {

constexpr std::int64_t kMany = 400;

class DropoutLayer : public LayerTest {
 protected:
  /// Where the ones of a forward went.
  std::vector<float> mask(Module& model) const { return values(model.to(device())(full({1, kMany}, 1))); }
};
INSTANTIATE_TEST_SUITE_P(Devices, DropoutLayer, devices(), device_name);

std::vector<double> expected_mask(std::uint64_t seed, std::uint32_t place, std::uint64_t forwards, double p = 0.5) {
  return reference::dropout(reference::Values(kMany, 1.0), p, RandomStream(seed, Purpose::dropout, place, forwards));
}

TEST_P(DropoutLayer, DrawsFromSeedPlaceAndCountOfTrainingForwards) {
  Sequential model{Flatten(), Dropout(0.3), Flatten()};
  model.init(6);
  for (std::uint64_t forwards = 0; forwards < 3; ++forwards) {
    expect_close(mask(model), expected_mask(6, /*place=*/2, forwards, 0.3), kPointwise);  // behind the root and the first Flatten
  }
  model.init(7);
  expect_close(mask(model), expected_mask(7, 2, 0, 0.3), kPointwise);
  Dropout lone;
  expect_close(mask(lone), expected_mask(0, 0, 0), kPointwise);
}

TEST_P(DropoutLayer, TwoInOneModelDrawDifferentMasks) {
  Sequential model{Dropout(0.5), Dropout(0.5)};
  const std::vector<float> both = mask(model);
  EXPECT_EQ(std::ranges::count_if(both, [](float y) { return y != 0 && y != 4; }), 0);
  EXPECT_NEAR(static_cast<double>(std::ranges::count(both, 4.0F)), kMany / 4.0, 50);
}

TEST_P(DropoutLayer, EvalAndPredictPassAllAndDoNotCount) {
  Sequential model{Dropout(0.5)};
  const std::vector<float> ones(kMany, 1);
  expect_close(mask(model), expected_mask(0, 1, 0), kPointwise);
  EXPECT_EQ(values(model.predict(full({1, kMany}, 1))), ones);
  model.eval();
  EXPECT_EQ(mask(model), ones);
  model.train();
  expect_close(mask(model), expected_mask(0, 1, 1), kPointwise);
}

TEST_P(DropoutLayer, InTrainingWithinANetworkInEvalDrawsAnewEachTime) {
  Sequential model{Dropout(0.5)};
  model.eval();
  model.at("0").train();
  expect_close(mask(model), expected_mask(0, 1, 0), kPointwise);
  expect_close(mask(model), expected_mask(0, 1, 1), kPointwise);
}

TEST_P(DropoutLayer, CountsWithItsModelWhenThatMoves) {
  Sequential model{Dropout(0.5)};
  mask(model);
  Sequential moved = std::move(model);
  expect_close(mask(moved), expected_mask(0, 1, 1), kPointwise);
}

TEST_P(DropoutLayer, BackwardUsesTheMaskOfItsForward) {
  Dropout dropout(0.4);
  dropout.to(device());
  const Tensor x = random_tensor({3, 5, 4, 7}, 1), dy = random_tensor({3, 5, 4, 7}, 2);
  for (std::uint64_t forwards = 0; forwards < 2; ++forwards) {
    const RandomStream random(0, Purpose::dropout, 0, forwards);
    expect_close(values(dropout(x)), reference::dropout(reference::widen(values(x)), 0.4, random), kPointwise);
    dropout.predict(x);
    expect_close(values(dropout.backward(dy)), reference::dropout(reference::widen(values(dy)), 0.4, random), kPointwise);
  }
  dropout.eval();
  dropout(x);
  dropout.train();
  EXPECT_EQ(values(dropout.backward(dy)), values(dy));
}

TEST_P(DropoutLayer, TakesProbabilitiesFromZeroToOne) {
  Dropout none(0), all(1);
  EXPECT_EQ(mask(none), std::vector<float>(kMany, 1));
  EXPECT_EQ(mask(all), std::vector<float>(kMany, 0));
  EXPECT_EQ(Dropout().p(), 0.5);
  EXPECT_THAT([] { Dropout(-0.1); }, misuse("Dropout: p must be from 0 to 1, got -0.1"));
  EXPECT_THAT([] { Dropout(1.1); }, misuse("Dropout: p must be from 0 to 1, got 1.1"));
  EXPECT_THAT([] { Dropout dropout(std::nan("")); }, misuse("Dropout: p must be from 0 to 1, got nan"));
}

}  // namespace
}  // namespace gpucnn
