#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/gpu/graph_capture.h>
#include <gpucnn/kernels/augment/mix.h>
#include <gpucnn/kernels/image/image_batch.h>

#include "device_test.h"

namespace gpucnn::kernels {
namespace {

using Indices = std::vector<std::int64_t>;

class AugmentedCaptureTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, AugmentedCaptureTest, testing::Values(Device::cuda()), device_name);

/// A step that crops, mirrors, changes colours, normalises, cuts out and mixes, replayed anywhere in any epoch, against the calls.
TEST_P(AugmentedCaptureTest, TakesItsPositionAndEpochFromTheStepState) {
  const std::vector<float> mean(3, 0.5F), std(3, 0.25F);
  const Indices entries{4, 1, 0, 3, 2, 5, 6, 1};
  const Tensor images = Tensor::randn({7, 3, 8, 8}, 1, device()), order = tensor(entries, {8}),
               labels = tensor<std::int32_t>({0, 1, 2, 3, 4, 5, 6}, {7});
  const MixOptions mixing{.mixup_alpha = 0.4, .cutmix_alpha = 1, .num_classes = 7};
  Tensor state = Tensor::zeros({std::int64_t{sizeof(StepState)}}, DType::u8, device());
  for (const bool resized : {false, true}) {
    ImageTransform transform{.mean = mean, .std = std, .crop_padding = resized ? 0 : 2, .alternating_flip = true, .seed = 9};
    if (resized) transform.random_resized_crop = RandomResizedCropOptions{.size = 5};
    transform.color_jitter = {0.4, 0.4, 0.4, 0.1};
    transform.cutout = 3;
    const Shape shape = transform.batch_shape(images.shape(), 3);
    Tensor batch = empty(shape), batch_labels = empty({3}, DType::i32), mixed = empty(shape), probabilities = empty({3, 7});
    Tensor other = empty(shape), other_labels = empty({3}, DType::i32), expected = empty(shape),
           expected_probabilities = empty({3, 7});

    std::optional<gpu::Capture> capture(std::in_place, device(), reinterpret_cast<const StepState*>(state.bytes()));
    ordered_batch(images, labels, order, transform, batch, batch_labels, stream());
    mix(batch, batch_labels, mixing, transform.position(), mixed, probabilities, stream());
    const std::unique_ptr<gpu::Graph> step = capture->finish();
    capture.reset();

    for (const StepState& now : {StepState{.epoch = 3, .first = 2}, StepState{.epoch = 4, .first = 5}, StepState{}}) {
      SCOPED_TRACE(now.first);
      std::vector<std::uint8_t> bytes(sizeof now);
      std::memcpy(bytes.data(), &now, sizeof now);
      state.copy_from(Tensor::from(bytes, state.shape()));
      step->launch();
      transform.first = now.first;
      transform.epoch = now.epoch;
      const Indices here(entries.begin() + now.first, entries.begin() + now.first + 3);
      image_batch(images, labels, here, transform, other, other_labels, stream());
      mix(other, other_labels, mixing, transform.position(), expected, expected_probabilities, stream());
      EXPECT_EQ(mixed.to_vector<float>(), expected.to_vector<float>());
      EXPECT_EQ(probabilities.to_vector<float>(), expected_probabilities.to_vector<float>());
    }
  }
}

}  // namespace
}  // namespace gpucnn::kernels
