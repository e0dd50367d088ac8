#include <gpucnn/kernels/image/image_batch.h>

#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/gpu/graph_capture.h>

#include "device_test.h"
#include "misuse.h"

namespace gpucnn::kernels {
namespace {

using Indices = std::vector<std::int64_t>;

/// A StepState in device memory.
class DeviceState {
 public:
  explicit DeviceState(Device device) : memory_(Tensor::zeros({std::int64_t{sizeof(StepState)}}, DType::u8, device)) {}

  const StepState* get() const { return reinterpret_cast<const StepState*>(memory_.bytes()); }

  void set(const StepState& state) {
    std::vector<std::uint8_t> bytes(sizeof state);
    std::memcpy(bytes.data(), &state, sizeof state);
    memory_.copy_from(Tensor::from(bytes, memory_.shape()));
  }

 private:
  Tensor memory_;
};

class OrderedBatchCaptureTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, OrderedBatchCaptureTest, testing::Values(Device::cuda()), device_name);

TEST_P(OrderedBatchCaptureTest, TakesItsPositionAndEpochFromTheStepState) {
  const std::vector<float> mean(3, 0.5F), std(3, 0.25F);
  const Indices entries{4, 1, 0, 3, 2, 5, 6, 1};
  const Tensor images = Tensor::randn({7, 3, 8, 8}, 1, device()), order = tensor(entries, {8}),
               labels = tensor<std::int32_t>({0, 1, 2, 3, 4, 5, 6}, {7});
  Tensor batch = empty({3, 3, 8, 8}), batch_labels = empty({3}, DType::i32), expected = empty(batch.shape()),
         expected_labels = empty({3}, DType::i32);
  ImageTransform transform{.mean = mean, .std = std, .crop_padding = 2, .flip = true, .seed = 9};
  DeviceState state(device());

  std::optional<gpu::Capture> capture(std::in_place, device(), state.get());
  ordered_batch(images, labels, order, transform, batch, batch_labels, stream());
  const std::unique_ptr<gpu::Graph> step = capture->finish();
  capture.reset();

  for (const StepState& now : {StepState{.epoch = 3, .first = 2}, StepState{.epoch = 1, .first = 5}, StepState{}}) {
    SCOPED_TRACE(now.first);
    state.set(now);
    step->launch();
    transform.first = now.first;
    transform.epoch = now.epoch;
    const Indices here(entries.begin() + now.first, entries.begin() + now.first + 3);
    image_batch(images, labels, here, transform, expected, expected_labels, stream());
    EXPECT_EQ(batch.to_vector<float>(), expected.to_vector<float>());
    EXPECT_THAT(batch_labels.to_vector<std::int32_t>(), testing::ElementsAreArray(here));
  }
}

TEST_P(OrderedBatchCaptureTest, RefusesToNormaliseManyChannels) {
  const std::vector<float> ones(17, 1.0F);
  const Tensor images = empty({2, 17, 1, 1}), labels = empty({2}, DType::i32), order = empty({2}, DType::i64);
  Tensor batch = empty({1, 17, 1, 1}), batch_labels = empty({1}, DType::i32);
  const DeviceState state(device());
  const gpu::Capture capture(device(), state.get());
  EXPECT_THAT([&] { ordered_batch(images, labels, order, {.mean = ones, .std = ones}, batch, batch_labels, stream()); },
              misuse("ordered_batch: a captured step cannot normalise images of more than 16 channels"));
  ordered_batch(images, labels, order, {}, batch, batch_labels, stream());
}

}  // namespace
}  // namespace gpucnn::kernels
