#include <gpucnn/train/report/examination.h>

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>

#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

/// Images of one pixel, whose three channels are the logits.
DataLoader loader_of(const std::vector<float>& logits, const std::vector<std::int32_t>& labels, std::int64_t batch_size,
                     Device device) {
  const auto count = static_cast<std::int64_t>(labels.size());
  return DataLoader(TensorDataset(Tensor::from(logits, {count, 3, 1, 1}, device), Tensor::from(labels, {count}, device)),
                    {.batch_size = batch_size});
}

class Examine : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, Examine, devices(), device_name);

TEST_P(Examine, CountsGuessesAndSortsMistakes) {
  Sequential model{Flatten()};
  model.to(device());
  for (const std::int64_t batch_size : {2, 6}) {
    DataLoader loader =
        loader_of({0.9F, 0.1F, 0.0F, 0.1F, 0.2F, 0.9F, 0.5F, 0.5F, 0.0F, 0.0F, 1.0F, 0.0F, 0.0F, 1.0F, 0.0F, 0.0F, 0.0F, 1.0F},
                  {0, 0, 1, 2, 2, -100}, batch_size, device());
    const Examination found = examine(model, loader, 3);
    EXPECT_EQ(found.classes, 3);
    EXPECT_EQ(found.confusion, (std::vector<std::int64_t>{1, 0, 1, 1, 0, 0, 0, 2, 0}));
    EXPECT_EQ(found.count(2, 1), 2);
    EXPECT_EQ(found.images(0), 2);
    EXPECT_EQ(found.images(), 5);
    EXPECT_EQ(found.correct(), 1);
    ASSERT_EQ(found.mistakes.size(), 3U);
    const Mistake& first = found.mistakes[0];
    EXPECT_EQ(first.index, 3);
    EXPECT_EQ(first.label, 2);
    EXPECT_EQ(first.guess, 1);
    EXPECT_NEAR(first.probability, std::exp(1.0) / (std::exp(1.0) + 2), 1e-6);
    EXPECT_EQ(found.mistakes[1].index, 4) << "as confident, but later";
    EXPECT_EQ(found.mistakes[2].index, 1);
    EXPECT_EQ(examine(model, loader, 1).mistakes.size(), 1U);
  }
}

TEST_P(Examine, PutsNanLast) {
  Sequential model{Flatten()};
  model.to(device());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  DataLoader loader = loader_of({nan, 0, 0, 0, 1, 0}, {1, 0}, 2, device());
  const Examination found = examine(model, loader, 2);
  ASSERT_EQ(found.mistakes.size(), 2U);
  EXPECT_EQ(found.mistakes[0].index, 1);
  EXPECT_EQ(found.mistakes[1].index, 0);
}

TEST_P(Examine, HasNothingToSayOfNoImages) {
  Sequential model{Flatten()};
  model.to(device());
  DataLoader loader = loader_of({}, {}, 2, device());
  EXPECT_EQ(examine(model, loader, 3).classes, 0);
}

TEST_P(Examine, SaysWhatDoesNotFit) {
  Sequential rows{Flatten()}, maps{Conv2d(3, 2, {.kernel_size = 1})};
  rows.to(device());
  maps.to(device());
  DataLoader beyond = loader_of({1, 0, 0}, {3}, 1, device());
  EXPECT_THAT([&] { examine(rows, beyond, 3); }, misuse("examine: label 3 is beyond the 3 classes"));
  EXPECT_THAT([&] { examine(maps, beyond, 3); }, misuse("expects a model that gives [N, classes], got [1, 2, 1, 1]"));
  DataLoader targets(TensorDataset(Tensor::zeros({1, 3, 1, 1}, DType::f32, device()), Tensor::zeros({1, 3}, DType::f32, device())));
  EXPECT_THAT([&] { examine(rows, targets, 3); }, misuse("expects labels that are numbers of classes, got f32"));
}

}  // namespace
}  // namespace gpucnn
