#include <gtest/gtest.h>

#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/tensor_dataset.h>

#include "data/allocation_count.h"
#include "device_test.h"

namespace gpucnn {
namespace {

class DataLoaderMemory : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, DataLoaderMemory, devices(), device_name);

TEST_P(DataLoaderMemory, AllocatesNothingAfterTheFirstEpoch) {
  const TensorDataset dataset{Tensor::zeros({300, 3, 32, 32}, DType::u8, device()), Tensor::zeros({300}, DType::u8, device())};
  const DataLoaderOptions plain{
      .batch_size = 128, .shuffle = true, .normalize = Normalize{{0, 0, 0}, {1, 1, 1}}, .crop_padding = 4, .flip = true};
  const DataLoaderOptions augmented{.batch_size = 128,
                                    .shuffle = true,
                                    .normalize = Normalize{{0, 0, 0}, {1, 1, 1}},
                                    .alternating_flip = true,
                                    .random_resized_crop = RandomResizedCropOptions{.size = 24},
                                    .color_jitter = {.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1},
                                    .cutout = 8,
                                    .mix = {.mixup_alpha = 0.2, .cutmix_alpha = 1, .num_classes = 10}};
  for (const DataLoaderOptions& options : {plain, augmented}) {
    DataLoader loader(dataset, options);
    const auto walk = [&] {
      std::int64_t examples = 0;
      for (auto [inputs, labels] : loader) examples += inputs.dim(0);
      return examples;
    };
    ASSERT_EQ(walk(), 300);
    const std::int64_t news_before = allocation_count();
    const std::uint64_t asked_before = allocator_stats(device()).system_allocations;
    ASSERT_GT(news_before, 0);
    for (int epoch = 0; epoch < 3; ++epoch) walk();
    // Where a GPU is emulated, the emulator allocates for every call.
    if (device() == Device::cpu()) {
      EXPECT_EQ(allocation_count(), news_before);
    }
    EXPECT_EQ(allocator_stats(device()).system_allocations, asked_before);
  }
}

TEST_P(DataLoaderMemory, AWalkHoldsOneBatchAtATime) {
  DataLoader loader(
      TensorDataset{Tensor::zeros({1000, 3, 32, 32}, DType::u8, device()), Tensor::zeros({1000}, DType::u8, device())},
      {.batch_size = 10});
  empty_cache(device());
  const std::uint64_t before = allocator_stats(device()).system_allocations;
  for (auto [inputs, labels] : loader) EXPECT_EQ(inputs.dim(0), 10);
  // Inputs, labels and the kernel's own rows.
  EXPECT_LE(allocator_stats(device()).system_allocations - before, 3U);
}

}  // namespace
}  // namespace gpucnn
