#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/tensor_dataset.h>

#include "device_test.h"
#include "misuse.h"

namespace gpucnn {
namespace {

class BatchPartTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, BatchPartTest, devices(), device_name);

/// It gives images and labels by `get`, and remembers which.
class Counted : public Dataset {
 public:
  explicit Counted(TensorDataset dataset) : dataset_(std::move(dataset)) {}
  std::int64_t size() const override { return dataset_.size(); }
  Shape image_shape() const override { return dataset_.image_shape(); }
  Device device() const override { return dataset_.device(); }
  Batch get(std::span<const std::int64_t> indices) const override {
    asked += static_cast<std::int64_t>(indices.size());
    return dataset_.get(indices);
  }
  mutable std::int64_t asked = 0;

 private:
  TensorDataset dataset_;
};

TensorDataset drawn(std::int64_t count, Device device) {
  const Tensor images = Tensor::randn({count, 3, 9, 7}, 1);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) labels.push_back(static_cast<std::int32_t>(i % 5));
  return TensorDataset(images.to(device), Tensor::from(labels, {count}).to(device));
}

void append(std::vector<float>& all, const Tensor& tensor) {
  const std::vector<float> more = tensor.dtype() == DType::f32 ? tensor.to_vector<float>() : [&] {
    const std::vector<std::int32_t> labels = tensor.to_vector<std::int32_t>();
    return std::vector<float>(labels.begin(), labels.end());
  }();
  all.insert(all.end(), more.begin(), more.end());
}

TEST(BatchPart, DividesImagesAmongParts) {
  for (const std::int64_t N : {0, 1, 3, 7, 128}) {
    for (const int count : {1, 2, 3, 5}) {
      std::int64_t next = 0;
      for (int index = 0; index < count; ++index) {
        const BatchPart part{index, count};
        EXPECT_EQ(part.first(N), next);
        next += part.images(N);
        EXPECT_LE(part.images(N), N / count + 1);
        EXPECT_GE(part.images(N), N / count);
      }
      EXPECT_EQ(next, N);
    }
  }
}

std::vector<std::pair<std::string, DataLoaderOptions>> recipes() {
  const Normalize normalize{.mean = {0.4, 0.5, 0.6}, .std = {0.2, 0.3, 0.4}};
  const DataLoaderOptions plain{.batch_size = 8, .shuffle = true, .seed = 3, .normalize = normalize};
  DataLoaderOptions cropped = plain, resized = plain, alternating = plain, mixed = plain, cut = plain, workers = plain;
  cropped.crop_padding = 2;
  cropped.flip = true;
  cropped.cutout = 3;
  resized.random_resized_crop = RandomResizedCropOptions{.size = 6};
  resized.color_jitter = {.brightness = 0.3, .contrast = 0.3, .saturation = 0.3, .hue = 0.1};
  alternating.alternating_flip = true;
  mixed.mix = {.mixup_alpha = 0.5, .num_classes = 5};
  mixed.flip = true;
  cut.mix = {.mixup_alpha = 0.5, .cutmix_alpha = 1, .num_classes = 5};
  workers.num_workers = 2;
  return {{"plain", plain}, {"cropped", cropped}, {"resized", resized}, {"alternating", alternating},
          {"mixed", mixed}, {"cut", cut},         {"workers", workers}};
}

TEST_P(BatchPartTest, PartsAreTogetherTheWholeBatchBitForBit) {
  const TensorDataset dataset = drawn(21, device());
  for (auto& [name, options] : recipes()) {
    for (const bool by_get : {false, true}) {
      const auto make = [&](const DataLoaderOptions& o) {
        return by_get ? DataLoader(Counted(dataset), o) : DataLoader(dataset, o);
      };
      DataLoader whole = make(options);
      for (const int count : {2, 3, 7}) {  // the last batch of five has less than seven
        SCOPED_TRACE(name + " in " + std::to_string(count) + (by_get ? " by get" : ""));
        std::vector<DataLoader> parts;
        for (int index = 0; index < count; ++index) {
          DataLoaderOptions own = options;
          own.part = {index, count};
          parts.push_back(make(own));
          EXPECT_EQ(parts.back().size(), whole.size());
          parts.back().set_epoch(2);
        }
        std::vector<DataLoader::Iterator> places;
        for (DataLoader& part : parts) places.push_back(part.begin());
        whole.set_epoch(2);
        for (const auto& batch : whole) {
          std::vector<float> images, labels, own_images, own_labels;
          append(images, batch.inputs);
          append(labels, batch.labels);
          for (DataLoader::Iterator& place : places) {
            append(own_images, place->inputs);
            append(own_labels, place->labels);
            ++place;
          }
          EXPECT_EQ(own_images, images);
          EXPECT_EQ(own_labels, labels);
        }
      }
    }
  }
}

TEST(BatchPart, DecodesOnlyItsOwnImagesAndThePartnerOfTheFirst) {
  const TensorDataset dataset = drawn(20, Device::cpu());
  for (const bool mixes : {false, true}) {
    const auto counted = std::make_shared<Counted>(dataset);
    DataLoaderOptions options{.batch_size = 10, .part = {1, 5}};
    if (mixes) options.mix = {.mixup_alpha = 1, .num_classes = 5};
    DataLoader loader(counted, options);
    for (const Batch& batch : loader) EXPECT_EQ(batch.inputs.dim(0), 2);
    EXPECT_EQ(counted->asked, mixes ? 6 : 4);
  }
}

TEST(BatchPart, RefusesAPartThatIsNone) {
  const TensorDataset dataset = drawn(4, Device::cpu());
  for (const BatchPart part : {BatchPart{-1, 2}, BatchPart{2, 2}, BatchPart{0, 0}}) {
    EXPECT_THAT([&] { DataLoader(dataset, {.part = part}); },
                misuse("DataLoader: part must be one of at least 1, numbered from 0"));
  }
}

}  // namespace
}  // namespace gpucnn
