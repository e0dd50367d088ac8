#include <gpucnn/kernels/image/ordered_batch.h>

#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/gpu/queue.h>

#include "device_test.h"
#include "misuse.h"

namespace gpucnn::kernels {
namespace {

using Indices = std::vector<std::int64_t>;

/// A StepClock in device memory.
class Clock {
 public:
  explicit Clock(Device device) : memory_(Tensor::zeros({std::int64_t{sizeof(StepClock)}}, DType::u8, device)) {}

  const StepClock* get() const { return reinterpret_cast<const StepClock*>(memory_.bytes()); }

  void set(const StepClock& clock) {
    std::vector<std::uint8_t> bytes(sizeof clock);
    std::memcpy(bytes.data(), &clock, sizeof clock);
    memory_.copy_from(Tensor::from(bytes, memory_.shape()));
  }

 private:
  Tensor memory_;
};

class OrderedBatchCaptureTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, OrderedBatchCaptureTest, testing::Values(Device::cuda()), device_name);

TEST_P(OrderedBatchCaptureTest, TakesItsPlaceAndEpochFromTheClock) {
  const std::vector<float> mean(3, 0.5F), std(3, 0.25F);
  const Indices places{4, 1, 0, 3, 2, 5, 6, 1};
  const Tensor images = Tensor::randn({7, 3, 8, 8}, 1, device()), order = tensor(places, {8}),
               labels = tensor<std::int32_t>({0, 1, 2, 3, 4, 5, 6}, {7});
  Tensor batch = empty({3, 3, 8, 8}), batch_labels = empty({3}, DType::i32), expected = empty(batch.shape());
  ImageTransform transform{.mean = mean, .std = std, .crop_padding = 2, .flip = true, .seed = 9};
  Clock clock(device());

  std::optional<gpu::Capture> capture(std::in_place, device(), clock.get());
  ordered_batch(images, labels, order, transform, batch, batch_labels, stream());
  const std::unique_ptr<gpu::Graph> step = capture->finish();
  capture.reset();

  for (const StepClock& now : {StepClock{.epoch = 3, .first = 2}, StepClock{.epoch = 1, .first = 5}, StepClock{}}) {
    SCOPED_TRACE(now.first);
    clock.set(now);
    step->launch();
    transform.first = now.first;
    transform.epoch = now.epoch;
    const Indices here(places.begin() + now.first, places.begin() + now.first + 3);
    image_batch(images, here, transform, expected, stream());
    EXPECT_EQ(batch.to_vector<float>(), expected.to_vector<float>());
    EXPECT_THAT(batch_labels.to_vector<std::int32_t>(), testing::ElementsAreArray(here));
  }
}

TEST_P(OrderedBatchCaptureTest, RefusesToNormaliseManyChannels) {
  const std::vector<float> ones(17, 1.0F);
  const Tensor images = empty({2, 17, 1, 1}), labels = empty({2}, DType::i32), order = empty({2}, DType::i64);
  Tensor batch = empty({1, 17, 1, 1}), batch_labels = empty({1}, DType::i32);
  const Clock clock(device());
  const gpu::Capture capture(device(), clock.get());
  EXPECT_THAT([&] { ordered_batch(images, labels, order, {.mean = ones, .std = ones}, batch, batch_labels, stream()); },
              misuse("ordered_batch: a captured step cannot normalise images of more than 16 channels"));
  ordered_batch(images, labels, order, {}, batch, batch_labels, stream());
}

}  // namespace
}  // namespace gpucnn::kernels
