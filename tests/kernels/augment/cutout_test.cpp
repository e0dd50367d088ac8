#include <gpucnn/kernels/augment/cutout.h>

#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/random.h>

#include "device_test.h"
#include "everywhere.h"
#include "kernels/augment/distribution.h"
#include "misuse.h"

namespace gpucnn::kernels {
namespace {

class CutoutTest : public DeviceTest {
 protected:
  std::vector<float> cut(const Tensor& x, int size, const BatchPosition& position) {
    Tensor y = x.clone();
    cutout(y, size, position, stream());
    return y.to_vector<float>();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, CutoutTest, devices(), device_name);

/// The contract, element by element.
std::vector<float> reference(const Tensor& x, int size, const BatchPosition& position) {
  const std::int64_t N = x.dim(0), C = x.dim(1), H = x.dim(2), W = x.dim(3);
  const RandomStream words(position.seed, Purpose::augment, 0, position.epoch);
  std::vector<float> y = x.to_vector<float>();
  for (std::int64_t n = 0; n < N; ++n) {
    const auto e = static_cast<std::uint64_t>(position.first + n);
    const std::int64_t top = std::int64_t{words.below(2 * e, static_cast<std::uint32_t>(H))} - size / 2;
    const std::int64_t left = std::int64_t{words.below(2 * e + 1, static_cast<std::uint32_t>(W))} - size / 2;
    for (std::int64_t c = 0; c < C; ++c) {
      for (std::int64_t h = std::max<std::int64_t>(top, 0); h < std::min(top + size, H); ++h) {
        for (std::int64_t w = std::max<std::int64_t>(left, 0); w < std::min(left + size, W); ++w) {
          y[static_cast<std::size_t>(((n * C + c) * H + h) * W + w)] = 0;
        }
      }
    }
  }
  return y;
}

TEST_P(CutoutTest, SetsTheSquareOfItsContractTo0) {
  const BatchPosition position{.seed = 3, .epoch = 2, .first = 77};
  for (const Shape& shape : {Shape{40, 3, 8, 8}, Shape{9, 1, 5, 31}, Shape{3, 17, 33, 4}, Shape{5, 2, 1, 1}}) {
    const Tensor x = Tensor::randn(shape, 1, device());
    for (int size = 0; size <= std::min(shape[2], shape[3]); ++size) {
      SCOPED_TRACE(shape.string() + " size " + std::to_string(size));
      ASSERT_EQ(cut(x, size, position), reference(x, size, position));
    }
  }
  EXPECT_EQ(cut(empty({0, 3, 4, 4}), 2, {}).size(), 0U);
  EXPECT_EQ(cut(empty({3, 3, 0, 4}), 0, {}).size(), 0U);
}

TEST_P(CutoutTest, DoesNotDependOnTheNumberOfThreads) {
  const Tensor x = Tensor::randn({40, 3, 16, 16}, 1, device());
  everywhere(device(), [&] { return cut(x, 8, {.seed = 1}); });
}

TEST_P(CutoutTest, EveryPixelIsEquallyOftenTheCentre) {
  const std::vector<float> y = cut(Tensor::full({4000, 1, 4, 5}, 1, device()), 1, {.seed = 9});
  std::vector<int> counts(20);
  for (std::size_t i = 0; i < y.size(); ++i) counts[i % 20] += y[i] == 0;
  expect_equally_frequent(counts);
}

TEST_P(CutoutTest, RefusesWhatItsContractDoesNotAllow) {
  Tensor x = empty({2, 3, 4, 6}), bytes = empty({2, 3, 4, 6}, DType::u8);
  EXPECT_THAT([&] { cutout(x, -1, {}, stream()); }, misuse("cutout: cutout must be >= 0, got -1"));
  EXPECT_THAT([&] { cutout(x, 5, {}, stream()); }, misuse("cutout: cutout of 5 is larger than the images, 4 by 6"));
  EXPECT_THAT([&] { cutout(bytes, 2, {}, stream()); }, misuse("cutout: images must be f32, got u8"));
}

}  // namespace
}  // namespace gpucnn::kernels
