#include <gpucnn/data/dataset.h>

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/data/data_loader.h>

namespace gpucnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

/// What a user writes for data of another kind: example i is a grey image of 10 i, of class i.
class Greys : public Dataset {
 public:
  std::int64_t size() const override { return 5; }
  Shape image_shape() const override { return {1, 2, 2}; }
  Batch get(std::span<const std::int64_t> indices) const override {
    std::vector<std::uint8_t> pixels;
    for (const std::int64_t i : indices) pixels.insert(pixels.end(), 4, static_cast<std::uint8_t>(10 * i));
    return {Tensor::from(pixels, {indices.size(), 1, 2, 2}), Tensor::from(indices, {indices.size()})};
  }
};

TEST(Dataset, OfAUsersOwnIsLoadedScaledAndNormalised) {
  std::vector<std::int32_t> seen;
  DataLoader loader(Greys(), {.batch_size = 2, .normalize = Normalize{{0.5}, {0.25}}});
  for (auto [inputs, labels] : loader) {
    const std::vector<float> values = inputs.to_vector<float>();
    const std::vector<std::int32_t> classes = labels.to_vector<std::int32_t>();
    for (std::size_t i = 0; i < classes.size(); ++i) {
      EXPECT_EQ(values[4 * i], (10.0F * static_cast<float>(classes[i]) / 255.0F - 0.5F) / 0.25F);
    }
    seen.insert(seen.end(), classes.begin(), classes.end());
  }
  EXPECT_THAT(seen, ElementsAre(0, 1, 2, 3, 4));
}

/// Gives back one example too few, or a type that is no image.
class Wrong : public Greys {
 public:
  explicit Wrong(Batch batch) : batch_(std::move(batch)) {}
  Batch get(std::span<const std::int64_t>) const override { return batch_; }

 private:
  Batch batch_;
};

TEST(Dataset, ThatBreaksItsPromiseIsToldWhatWasExpected) {
  const auto begin = [](const Batch& batch) { DataLoader(Wrong(batch), {.batch_size = 2}).begin(); };
  const Tensor images = Tensor::zeros({2, 1, 2, 2}), labels = Tensor::zeros({2}, DType::i32);
  EXPECT_NO_THROW(begin({images, labels}));
  EXPECT_THAT(
      [&] {
        begin({images.narrow(0, 1), labels});
      },
      ThrowsMessage<std::invalid_argument>(
          HasSubstr("Dataset::get: expects inputs [2, 1, 2, 2] and labels [2] or f32 targets [2, …], got [1, 1, 2, 2] and [2]")));
  EXPECT_THROW(begin({images, labels.narrow(0, 1)}), std::invalid_argument);
  EXPECT_THROW(begin({Tensor::zeros({2, 1, 2, 2}, DType::i32), labels}), std::invalid_argument);
  EXPECT_THROW(begin({images, Tensor::zeros({2}, DType::bf16)}), std::invalid_argument);
  EXPECT_THROW(begin({images, Tensor::zeros({3, 2})}), std::invalid_argument);
  EXPECT_THROW(begin({images, Tensor::zeros({})}), std::invalid_argument);
  const std::vector<std::int64_t> ignored{0, -100}, far{0, std::int64_t{1} << 31};
  EXPECT_NO_THROW(begin({images, Tensor::from(ignored, {2})})) << "the loss checks its classes";
  EXPECT_THAT(
      [&] {
        begin({images, Tensor::from(far, {2})});
      },
      ThrowsMessage<std::invalid_argument>(HasSubstr("label 2147483648 at index 1 is not an i32")));
  EXPECT_THROW(begin({}), std::invalid_argument);
}

TEST(Dataset, MayGiveNumbersAsTargets) {
  const std::vector<float> numbers{0.5F, -1, 2, 3};
  const Tensor targets = Tensor::from(numbers, {2, 2});
  DataLoader loader(Wrong({Tensor::zeros({2, 1, 2, 2}), targets}), {.batch_size = 2, .normalize = Normalize{{0.5}, {0.25}}});
  const Tensor labels = loader.begin()->labels;
  EXPECT_EQ(labels.shape(), targets.shape());
  EXPECT_EQ(labels.to_vector<float>(), numbers);
  EXPECT_NE(labels.bytes(), targets.bytes()) << "a batch is the caller's to change";
}

}  // namespace
}  // namespace gpucnn
