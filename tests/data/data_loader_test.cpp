#include <gpucnn/data/data_loader.h>

#include <limits>
#include <numeric>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/random.h>
#include <gpucnn/core/threads/threads.h>
#include <gpucnn/data/tensor_dataset.h>

#include "device_test.h"

namespace gpucnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::ThrowsMessage;
using ::testing::UnorderedElementsAreArray;

static_assert(std::ranges::input_range<DataLoader>);

using Labels = std::vector<std::int32_t>;

/// Example i is a pixel of i with label i.
TensorDataset counting(std::int64_t size, Device device = {}) {
  std::vector<float> pixels(static_cast<std::size_t>(size));
  std::iota(pixels.begin(), pixels.end(), 0.0F);
  Labels labels(static_cast<std::size_t>(size));
  std::iota(labels.begin(), labels.end(), 0);
  return {Tensor::from(pixels, {size, 1, 1, 1}, device), Tensor::from(labels, {size}, device)};
}

/// The labels of one epoch, batch by batch.
std::vector<Labels> epoch_of(DataLoader& loader) {
  std::vector<Labels> batches;
  for (auto [inputs, labels] : loader) {
    batches.push_back(labels.to_vector<std::int32_t>());
    EXPECT_EQ(inputs.shape(), (Shape{batches.back().size(), 1, 1, 1}));
    const std::vector<float> pixels = inputs.to_vector<float>();
    EXPECT_EQ(Labels(pixels.begin(), pixels.end()), batches.back()) << "images and labels went different ways";
  }
  return batches;
}

Labels order_of(DataLoader& loader) {
  Labels order;
  for (const Labels& labels : epoch_of(loader)) order.insert(order.end(), labels.begin(), labels.end());
  return order;
}

class DataLoaderTest : public DeviceTest {
 protected:
  TensorDataset counting(std::int64_t size) const { return gpucnn::counting(size, device()); }
};
INSTANTIATE_TEST_SUITE_P(Devices, DataLoaderTest, devices(), device_name);

TEST_P(DataLoaderTest, DeliversOneByOneInOrderByDefault) {
  DataLoader loader(counting(3));
  EXPECT_EQ(loader.size(), 3);
  EXPECT_THAT(epoch_of(loader), ElementsAre(Labels{0}, Labels{1}, Labels{2}));
}

TEST_P(DataLoaderTest, IsARangeEvenAsATemporary) {
  const Tensor images = Tensor::full({10, 3, 2, 2}, 0.5F, device()), labels = Tensor::zeros({10}, DType::u8, device());
  std::int64_t batches = 0, examples = 0;
  for (auto [x, y] : DataLoader(TensorDataset{images, labels}, {.batch_size = 4, .shuffle = true, .seed = 7})) {
    ++batches;
    examples += x.dim(0);
    EXPECT_EQ(x.device(), device());
    EXPECT_EQ(y.device(), device());
    EXPECT_EQ(y.dtype(), DType::i32);
    EXPECT_EQ(y.shape(), Shape{x.dim(0)});
  }
  EXPECT_EQ(batches, 3);
  EXPECT_EQ(examples, 10);
}

TEST_P(DataLoaderTest, DeliversTheSmallerLastBatchUnlessToldToDropIt) {
  DataLoader all(counting(7), {.batch_size = 3});
  EXPECT_EQ(all.size(), 3);
  EXPECT_THAT(epoch_of(all), ElementsAre(SizeIs(3), SizeIs(3), Labels{6}));
  DataLoader whole(counting(7), {.batch_size = 3, .drop_last = true});
  EXPECT_EQ(whole.size(), 2);
  EXPECT_THAT(epoch_of(whole), ElementsAre(SizeIs(3), SizeIs(3)));
  DataLoader even(counting(6), {.batch_size = 3});
  EXPECT_EQ(even.size(), 2);
  EXPECT_THAT(epoch_of(even), ElementsAre(SizeIs(3), SizeIs(3)));
}

TEST_P(DataLoaderTest, DeliversWhereItIsTold) {
  for (const Device from : {Device::cpu(), device()}) {
    DataLoader loader(gpucnn::counting(5, from), {.batch_size = 3, .device = device()});
    for (auto [inputs, labels] : loader) {
      EXPECT_EQ(inputs.device(), device());
      EXPECT_EQ(labels.device(), device());
    }
    EXPECT_THAT(epoch_of(loader), ElementsAre(Labels{0, 1, 2}, Labels{3, 4}));
  }
}

TEST_P(DataLoaderTest, MayBeEmptyOrHaveOneBatchOfAll) {
  DataLoader none(counting(0), {.batch_size = 3, .shuffle = true});
  EXPECT_EQ(none.size(), 0);
  EXPECT_THAT(epoch_of(none), SizeIs(0));
  DataLoader one(counting(2), {.batch_size = std::numeric_limits<std::int64_t>::max()});
  EXPECT_THAT(epoch_of(one), ElementsAre(Labels{0, 1}));
}

TEST_P(DataLoaderTest, ShufflesAsFisherAndYatesFromItsStream) {
  DataLoader loader(counting(100), {.batch_size = 16, .shuffle = true, .seed = 42});
  for (std::uint64_t epoch = 0; epoch < 5; ++epoch) {
    Labels expected(100);
    std::iota(expected.begin(), expected.end(), 0);
    const RandomStream random(42, Purpose::shuffle, 0, epoch);
    for (std::size_t i = 99; i > 0; --i) std::swap(expected[i], expected[random.below(i, static_cast<std::uint32_t>(i + 1))]);
    EXPECT_EQ(order_of(loader), expected) << epoch;
  }
}

TEST_P(DataLoaderTest, EveryEpochHasEachExampleOnceInAnOrderOfItsOwn) {
  DataLoader loader(counting(100), {.batch_size = 7, .shuffle = true, .seed = 1});
  const Labels all = counting(100).labels().to_vector<std::int32_t>();
  EXPECT_EQ(loader.epoch(), 0U);
  const Labels first = order_of(loader);
  EXPECT_EQ(loader.epoch(), 1U);
  const Labels second = order_of(loader);
  EXPECT_THAT(first, UnorderedElementsAreArray(all));
  EXPECT_THAT(second, UnorderedElementsAreArray(all));
  EXPECT_NE(first, all);
  EXPECT_NE(first, second);
}

TEST_P(DataLoaderTest, TheSeedAndTheEpochsNumberDecideTheOrder) {
  DataLoader loader(counting(50), {.batch_size = 7, .shuffle = true, .seed = 1});
  const Labels first = order_of(loader), second = order_of(loader);
  DataLoader again(counting(50), {.batch_size = 16, .shuffle = true, .seed = 1});
  again.set_epoch(1);
  EXPECT_EQ(order_of(again), second);
  again.set_epoch(0);
  EXPECT_EQ(order_of(again), first);
  DataLoader other(counting(50), {.shuffle = true, .seed = 2});
  EXPECT_NE(order_of(other), first);
}

TEST_P(DataLoaderTest, BatchesThatAreKeptDoNotChange) {
  DataLoader loader(counting(6), {.batch_size = 2});
  std::vector<Batch> kept;
  for (const Batch& batch : loader) kept.push_back(batch);
  EXPECT_THAT(kept[0].inputs.to_vector<float>(), ElementsAre(0, 1));
  EXPECT_THAT(kept[2].labels.to_vector<std::int32_t>(), ElementsAre(4, 5));
}

TEST_P(DataLoaderTest, AugmentsDifferentlyInEachEpochAndEquallyWhateverTheBatchSize) {
  const TensorDataset dataset{Tensor::randn({30, 3, 8, 8}, 1, device()), Tensor::zeros({30}, DType::u8, device())};
  const auto pixels = [&](std::int64_t batch_size, std::uint64_t epoch, int threads) {
    const int before = num_threads();
    set_num_threads(threads);
    DataLoader loader(dataset, {.batch_size = batch_size, .seed = 9, .crop_padding = 2, .flip = true});
    loader.set_epoch(epoch);
    std::vector<float> all;
    for (auto [inputs, labels] : loader) {
      const std::vector<float> some = inputs.to_vector<float>();
      all.insert(all.end(), some.begin(), some.end());
    }
    set_num_threads(before);
    return all;
  };
  EXPECT_EQ(pixels(30, 0, 1), pixels(7, 0, 2));
  EXPECT_NE(pixels(30, 0, 1), pixels(30, 1, 1));
  EXPECT_NE(pixels(30, 0, 1), dataset.images().to_vector<float>());
}

TEST_P(DataLoaderTest, PadsWithZerosBeforeNormalising) {
  const TensorDataset dataset{Tensor::full({64, 1, 1, 1}, 1, device()), Tensor::zeros({64}, DType::u8, device())};
  DataLoader loader(dataset, {.batch_size = 64, .normalize = Normalize{{0.5}, {0.25}}, .crop_padding = 1});
  const std::vector<float> values = (*loader.begin()).inputs.to_vector<float>();
  EXPECT_THAT(values, ::testing::Each(::testing::AnyOf((0 - 0.5F) / 0.25F, (1 - 0.5F) / 0.25F)));
  EXPECT_THAT(values, ::testing::Contains(-2.0F));
  EXPECT_THAT(values, ::testing::Contains(2.0F));
}

TEST_P(DataLoaderTest, TakesASharedDataset) {
  const auto dataset = std::make_shared<TensorDataset>(counting(4));
  DataLoader loader(dataset, {.batch_size = 4});
  EXPECT_EQ(&loader.dataset(), dataset.get());
  EXPECT_EQ(loader.options().batch_size, 4);
  EXPECT_THAT(epoch_of(loader), ElementsAre(Labels{0, 1, 2, 3}));
  EXPECT_THROW(DataLoader(std::shared_ptr<const Dataset>()), std::invalid_argument);
}

TEST_P(DataLoaderTest, EndsAWalkWhenAnotherBegins) {
  DataLoader loader(counting(4), {.batch_size = 2});
  auto first = loader.begin();
  auto second = loader.begin();
  EXPECT_THAT([&] { ++first; }, ThrowsMessage<std::logic_error>(HasSubstr("a later begin() has ended this walk")));
  EXPECT_NO_THROW(++second);
}

TEST_P(DataLoaderTest, MovesWithItsEpoch) {
  DataLoader loader(counting(5), {.batch_size = 2, .shuffle = true});
  loader.set_epoch(4);
  DataLoader moved = std::move(loader);
  DataLoader same(counting(5), {.batch_size = 2, .shuffle = true});
  same.set_epoch(4);
  EXPECT_EQ(order_of(moved), order_of(same));
}

TEST(DataLoader, WhatWasMovedFromRefusesToBegin) {
  DataLoader loader(counting(4), {.batch_size = 2});
  auto walk = loader.begin();
  DataLoader moved = std::move(loader);
  EXPECT_THROW(++walk, std::logic_error);
  EXPECT_THROW(loader.begin(), std::logic_error);
  EXPECT_THROW(loader.dataset(), std::logic_error);
  EXPECT_THAT(epoch_of(moved), SizeIs(2));
}

TEST(DataLoader, RefusesWrongOptions) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  const auto refuses = [](const DataLoaderOptions& options, const char* message) {
    EXPECT_THAT([&] { DataLoader(counting(4), options); }, ThrowsMessage<std::invalid_argument>(HasSubstr(message)));
  };
  refuses({.batch_size = 0}, "batch_size must be >= 1, got 0");
  refuses({.batch_size = -3}, "got -3");
  refuses({.crop_padding = -1}, "crop_padding must be >= 0, got -1");
  refuses({.normalize = Normalize{{0.5, 0.5, 0.5}, {1, 1, 1}}},
          "images of 1 channels, but normalize has 3 values of mean and 3 of std");
  refuses({.normalize = Normalize{}}, "0 values of mean and 0 of std");
  refuses({.normalize = Normalize{{0.5}, {0}}}, "std [0]");
  refuses({.normalize = Normalize{{0.5}, {-1}}}, "std [-1]");
  refuses({.normalize = Normalize{{0.5}, {kNan}}}, "std [nan]");
  refuses({.normalize = Normalize{{kNan}, {1}}}, "mean [nan]");
  refuses({.normalize = Normalize{{0.5}, {1e-60}}}, "std [1e-60]");
}

TEST(DataLoader, AnOrderThatWasPreparedIsThatOfItsEpoch) {
  WeightedRandomSampler weighted{std::vector<double>(30, 1.0), 30};
  weighted.weights[4] = 20;
  for (const DataLoaderOptions& options : {DataLoaderOptions{.batch_size = 7, .shuffle = true, .seed = 3},
                                           DataLoaderOptions{.batch_size = 7, .seed = 3, .sampler = weighted}}) {
    DataLoader prepared(counting(30), options), plain(counting(30), options);
    for (int epoch = 0; epoch < 3; ++epoch) {
      EXPECT_EQ(order_of(prepared), order_of(plain)) << epoch;
      const std::vector<std::int64_t> before(prepared.order().begin(), prepared.order().end());
      prepared.prepare_epoch();
      prepared.prepare_epoch();
      EXPECT_THAT(prepared.order(), ::testing::ElementsAreArray(before)) << "the epoch under way goes on";
    }
    prepared.set_epoch(9);
    plain.set_epoch(9);
    EXPECT_EQ(order_of(prepared), order_of(plain)) << "another epoch than the one that was prepared";
    prepared.prepare_epoch();
    DataLoader moved = std::move(prepared);
    EXPECT_EQ(order_of(moved), order_of(plain));
    EXPECT_THROW(prepared.prepare_epoch(), std::logic_error);  // NOLINT(bugprone-use-after-move)
  }
}

}  // namespace
}  // namespace gpucnn
