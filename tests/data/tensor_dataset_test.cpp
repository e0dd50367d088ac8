#include <gpucnn/data/tensor_dataset.h>

#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device_test.h"

namespace gpucnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class TensorDatasetTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, TensorDatasetTest, devices(), device_name);

TEST_P(TensorDatasetTest, HoldsHandlesOfItsImages) {
  const Tensor images = Tensor::zeros({5, 3, 4, 6}, DType::u8, device());
  const TensorDataset dataset{images, Tensor::zeros({5}, DType::i32, device())};
  EXPECT_EQ(dataset.size(), 5);
  EXPECT_EQ(dataset.image_shape(), (Shape{3, 4, 6}));
  EXPECT_EQ(dataset.images().bytes(), images.bytes());
  EXPECT_EQ(dataset.device(), device());
  EXPECT_EQ(dataset.to(Device::cpu()).device(), Device::cpu());
}

TEST_P(TensorDatasetTest, KeepsLabelsOfEveryTypeAsI32) {
  const Tensor images = Tensor::zeros({3, 1, 1, 1}, DType::f32, device());
  const auto labels_of = [&](const Tensor& labels) { return TensorDataset(images, labels).labels().to_vector<std::int32_t>(); };
  EXPECT_THAT(labels_of(tensor<std::uint8_t>({1, 255, 3}, {3})), ElementsAre(1, 255, 3));
  EXPECT_THAT(labels_of(tensor<std::int32_t>({1, 2, 1000}, {3})), ElementsAre(1, 2, 1000));
  EXPECT_THAT(labels_of(tensor<std::int64_t>({1, 2, 3}, {3})), ElementsAre(1, 2, 3));
  // What a loss ignores may be any; only the loss knows.
  EXPECT_THAT(labels_of(tensor<std::int32_t>({1, -100, 2147483647}, {3})), ElementsAre(1, -100, 2147483647));
  EXPECT_THAT(labels_of(tensor<std::int64_t>({-1, -2147483648, 3}, {3})), ElementsAre(-1, -2147483648, 3));
}

TEST_P(TensorDatasetTest, GetGivesImagesFromZeroToOneAndLabels) {
  const TensorDataset dataset{tensor<std::uint8_t>({0, 51, 255}, {3, 1, 1, 1}), tensor<std::uint8_t>({7, 8, 9}, {3})};
  const auto [inputs, labels] = dataset.get(std::vector<std::int64_t>{2, 1});
  EXPECT_EQ(inputs.shape(), (Shape{2, 1, 1, 1}));
  EXPECT_THAT(inputs.to_vector<float>(), ElementsAre(1.0F, 51.0F / 255.0F));
  EXPECT_THAT(labels.to_vector<std::int32_t>(), ElementsAre(9, 8));
  EXPECT_THROW(dataset.get(std::vector<std::int64_t>{3}), std::invalid_argument);
}

TEST_P(TensorDatasetTest, TargetsMayBeNumbersOfAnyShape) {
  const Tensor images = Tensor::zeros({3, 1, 1, 1}, DType::u8, device());
  for (const Shape& one : {Shape{0}, Shape{0, 4}, Shape{0, 4, 1}, Shape{0, 2, 2, 3}, Shape{0, 5, 1, 2, 1}, Shape{0, 0}}) {
    SCOPED_TRACE(one.string());
    const std::int64_t size = one.with(0, 1).numel();
    std::vector<float> numbers;
    for (std::int64_t i = 0; i < 3 * size; ++i) numbers.push_back(static_cast<float>(i) - 7.5F);
    const Tensor targets = Tensor::zeros(one.with(0, 3), DType::f32, device());
    Tensor(targets).view(0, {3 * size}).copy_from(Tensor::from(numbers, {3 * size}));
    const TensorDataset dataset(images, targets);
    EXPECT_EQ(dataset.labels().bytes(), targets.bytes());
    const Tensor labels = dataset.to(Device::cpu()).to(device()).get(std::vector<std::int64_t>{2, 0, 2, 1}).labels;
    EXPECT_EQ(labels.shape(), one.with(0, 4));
    std::vector<float> expected;
    for (const std::int64_t row : {2, 0, 2, 1}) {
      expected.insert(expected.end(), numbers.begin() + row * size, numbers.begin() + (row + 1) * size);
    }
    EXPECT_EQ(labels.view(0, {4 * size}).to_vector<float>(), expected);
  }
  EXPECT_THROW(TensorDataset(images, Tensor::zeros({3, 2}, DType::f32, device())).get(std::vector<std::int64_t>{3}),
               std::invalid_argument);
}

TEST(TensorDataset, RefusesTensorsThatDoNotFitTogether) {
  const Tensor images = Tensor::zeros({4, 3, 2, 2}, DType::u8), labels = Tensor::zeros({4}, DType::u8);
  const auto refuses = [](const Tensor& wrong_images, const Tensor& wrong_labels, const char* message) {
    EXPECT_THAT([&] { TensorDataset(wrong_images, wrong_labels); }, ThrowsMessage<std::invalid_argument>(HasSubstr(message)));
  };
  refuses({}, labels, "must be defined");
  refuses(images, {}, "must be defined");
  refuses(Tensor::zeros({4, 3, 2, 2}, DType::i32), labels, "images must be u8 or f32, got i32");
  refuses(Tensor::zeros({4, 3, 2}), labels, "images must be [N, C, H, W], got [4, 3, 2]");
  refuses(images, Tensor::zeros({5}, DType::u8), "4 images need labels [4], got [5]");
  refuses(images, Tensor::zeros({4, 1}, DType::u8), "got [4, 1]");
  refuses(images, Tensor::zeros({4}, DType::bf16), "labels must be u8, i32 or i64, or targets f32, got bf16");
  refuses(images, Tensor::zeros({3, 4}), "4 images need f32 targets [4, …], got [3, 4]");
  refuses(images, Tensor::zeros({}), "4 images need f32 targets [4, …], got []");
}

TEST_P(TensorDatasetTest, RefusesLabelsBeyondI32) {
  const Tensor images = Tensor::zeros({4, 3, 2, 2}, DType::u8, device());
  // A GPU sees them when it comes to them.
  const auto refuses = [&](const Tensor& labels, const char* message) {
    EXPECT_THAT([&] { TensorDataset(images, labels).labels().to_vector<std::int32_t>(); },
                ThrowsMessage<std::invalid_argument>(HasSubstr(message)));
  };
  refuses(tensor<std::int64_t>({0, 1, 2, std::int64_t{1} << 32}, {4}), "label 4294967296 at index 3 is not an i32");
  refuses(tensor<std::int64_t>({0, 1, -2147483649, 2}, {4}), "label -2147483649 at index 2 is not an i32");
}

TEST_P(TensorDatasetTest, RefusesImagesAndLabelsOnTwoDevices) {
  if (device().kind == Device::Kind::cpu) return;
  EXPECT_THAT(
      [&] {
        TensorDataset(Tensor::zeros({4, 3, 2, 2}), Tensor::zeros({4}, DType::u8, device()));
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("images are on cpu, labels on cuda:0")));
}

}  // namespace
}  // namespace gpucnn
