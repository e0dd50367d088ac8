#include <gpucnn/layers/fusion/image_groups.h>

#include <memory>
#include <typeinfo>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/fusion/fuse.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/models/resnet.h>

#include "close.h"
#include "everywhere.h"
#include "layers/layers.h"

// Predictions that take a few images at a time through several stages give what whole batches give.
namespace gpucnn {
namespace {

constexpr std::int64_t kImages = 67;  // in groups of two lengths

Conv2d conv(int in_channels, int out_channels) { return {in_channels, out_channels, {.kernel_size = 3, .padding = 1}}; }

Sequential small_network() {
  return {conv(3, 8), ReLU(), conv(8, 12), BatchNorm2d(12), ReLU(), Dropout(0.5), MaxPool2d(2), Flatten(), Linear(12 * 4 * 4, 5)};
}

bool is_container(const Module& module) { return typeid(module) == typeid(ResidualBlock); }

/// Subtracts the mean of the batch: no image is alone.
struct Centred : Module {
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context&) const override {
    Tensor y = x.clone();
    float mean = 0;
    for (const float value : values(x)) mean += value / static_cast<float>(x.numel());
    for (std::int64_t i = 0; i < y.numel(); ++i) y.data<float>()[i] -= mean;
    return y;
  }
  Tensor gradients(const Tensor& dy, Context&) override { return dy; }
  void members(Members&) override {}
};

/// The number of stages of these layers that run in groups, for images of [3, 8, 8].
std::size_t stages_in_groups(std::vector<std::unique_ptr<Module>> layers, std::int64_t images = kImages) {
  std::vector<Module*> list;
  for (const auto& layer : layers) list.push_back(layer.get());
  const std::vector<std::unique_ptr<Stage>> stages = fuse(list);
  return image_groups(stages, Tensor::zeros({images, 3, 8, 8}), 8 * 8 * 8, is_container).stages;
}

template <class... Layers>
std::vector<std::unique_ptr<Module>> list(Layers&&... layers) {
  std::vector<std::unique_ptr<Module>> all;
  (all.push_back(std::make_unique<Layers>(std::forward<Layers>(layers))), ...);
  return all;
}

TEST(ImageGroups, AreOfStagesThatTakeEachImageAlone) {
  EXPECT_EQ(stages_in_groups(list(conv(3, 8), ReLU(), conv(8, 8), BatchNorm2d(8), Flatten(), Linear(512, 5))), 3U);
  EXPECT_EQ(stages_in_groups(list(conv(3, 8), ReLU(), conv(8, 8)), 63), 0U);
  EXPECT_EQ(stages_in_groups(list(conv(3, 8), ReLU(), Linear(8, 8))), 0U);  // one alone gains nothing
  EXPECT_EQ(stages_in_groups(list(conv(3, 3), ReLU(), conv(3, 3), Centred(), conv(3, 3))), 2U);
  EXPECT_EQ(stages_in_groups(list(conv(3, 8), ReLU(), BatchNorm2d(8, {.track_running_stats = false}))), 0U);
}

TEST(ImageGroups, LookIntoContainers) {
  const auto block = [](BatchNorm2d norm) { return ResidualBlock{conv(3, 3), std::move(norm)}; };
  EXPECT_EQ(stages_in_groups(list(conv(3, 3), block(BatchNorm2d(3)))), 2U);
  EXPECT_EQ(stages_in_groups(list(conv(3, 3), block(BatchNorm2d(3, {.track_running_stats = false})))), 0U);
}

TEST(ImageGroups, LeaveOutStagesOfManyWeights) {
  EXPECT_EQ(stages_in_groups(list(conv(3, 8), ReLU(), conv(8, 8), ReLU(), conv(8, 4096))), 2U);
}

TEST(ImageGroups, GiveEachImageWhatItGetsInASmallBatch) {
  Sequential model = small_network();
  model.init(3);
  const Tensor x = random_tensor({kImages, 3, 8, 8}, 4);
  const std::vector<float> all = values(model.predict(x));
  std::vector<float> expected;
  for (std::int64_t first = 0; first < kImages; ++first) {
    const std::vector<float> one = values(model.predict(x.view(first * 3 * 8 * 8, {1, 3, 8, 8})));
    expected.insert(expected.end(), one.begin(), one.end());
  }
  expect_close(as_doubles(all), as_doubles(expected), kSum);
}

TEST(ImageGroups, HaveTheSameBitsOnAnyNumberOfThreads) {
  Sequential model = resnet20();
  model.init(5);
  const Tensor x = random_tensor({kImages, 3, 16, 16}, 6);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 5}) {
    const ForcedThreads forced(threads);
    results.push_back(values(model.predict(x)));
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(ImageGroups, LeaveWholeBatchesToLayersThatNeedThem) {
  Sequential model{conv(3, 4), ReLU(), conv(4, 4), Centred(), BatchNorm2d(4, {.track_running_stats = false})};
  model.init(7);
  Sequential before{conv(3, 4), ReLU(), conv(4, 4)};
  before.load_state_dict(model.state_dict(), /*strict=*/false);
  const Tensor x = random_tensor({kImages, 3, 8, 8}, 8);
  const Centred centred;
  const BatchNorm2d norm(4, {.track_running_stats = false});
  expect_close(as_doubles(values(model.predict(x))), as_doubles(values(norm.predict(centred.predict(before.predict(x))))),
               kVendorSum);
}

TEST(ImageGroups, LetHooksSeeWholeBatches) {
  Sequential model{conv(3, 3), ReLU(), ResidualBlock{conv(3, 3), BatchNorm2d(3)}};
  model.init(9);
  Shape seen;
  model.at("2.0").register_forward_hook([&](const Module&, const Tensor&, const Tensor& y) { seen = y.shape(); });
  model.predict(random_tensor({kImages, 3, 8, 8}, 10));
  EXPECT_EQ(seen, Shape(kImages, 3, 8, 8));
}

}  // namespace
}  // namespace gpucnn
