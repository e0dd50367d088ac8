#include <gpucnn/kernels/channels.h>

#include <gtest/gtest.h>

#include "device_test.h"
#include "reference/values.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;

/// `x` [N, C, pixels], in logical order, with other channels: cut off, or zeros behind.
std::vector<float> with_channels(const std::vector<float>& x, std::int64_t N, std::int64_t C, std::int64_t pixels,
                                 std::int64_t channels) {
  std::vector<float> y;
  for (std::int64_t n = 0; n < N; ++n) {
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t p = 0; p < pixels; ++p) y.push_back(c < C ? x[static_cast<std::size_t>((n * C + c) * pixels + p)] : 0.0F);
    }
  }
  return y;
}

class ChannelsTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ChannelsTest, testing::Values(Device::cuda()), device_name);

TEST_P(ChannelsTest, ArePaddedWithZerosAndCutOffAgain) {
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{16, 3, 3, 3}, Shape{1, 1, 1, 1}, Shape{3, 5, 1, 2}, Shape{0, 3, 2, 2}}) {
    for (const std::int64_t channels : {shape[1], shape[1] + 1, std::int64_t{8}}) {
      SCOPED_TRACE(shape.string() + " to " + std::to_string(channels));
      const std::int64_t N = shape[0], C = shape[1], pixels = shape[2] * shape[3];
      const std::vector<float> x = random_floats(shape.numel(), 1), wide = random_floats(N * channels * pixels, 2);
      Tensor padded = empty(shape.with(1, channels)), cut = empty(shape);
      cuda::pad_channels(tensor(x, shape), padded, stream());
      EXPECT_EQ(padded.to_vector<float>(), with_channels(x, N, C, pixels, channels));

      std::vector<float> expected = with_channels(wide, N, channels, pixels, C);
      padded = tensor(wide, padded.shape());
      cuda::unpad_channels(padded, false, cut, stream());
      EXPECT_EQ(cut.to_vector<float>(), expected);
      cuda::unpad_channels(padded, true, cut, stream());
      for (float& value : expected) value *= 2;
      EXPECT_EQ(cut.to_vector<float>(), expected);
    }
  }
}

TEST_P(ChannelsTest, AreTheLastDimensionOfOtherRanks) {
  Tensor padded = empty({2, 4}), cut = empty({2, 2});
  cuda::pad_channels(tensor<float>({1, 2, 3, 4, 5, 6}, {2, 3}), padded, stream());
  EXPECT_EQ(padded.to_vector<float>(), (std::vector<float>{1, 2, 3, 0, 4, 5, 6, 0}));
  cuda::unpad_channels(padded, false, cut, stream());
  EXPECT_EQ(cut.to_vector<float>(), (std::vector<float>{1, 2, 4, 5}));
}

TEST_P(ChannelsTest, MayLieInViews) {
  const std::vector<float> values = random_floats(31, 1);
  Tensor memory = empty({43}), padded = memory.view(3, {10, 4});
  cuda::pad_channels(tensor(values).view(1, {10, 3}), padded, stream());
  EXPECT_EQ(padded.to_vector<float>(), with_channels({values.begin() + 1, values.end()}, 10, 3, 1, 4));
}

}  // namespace
}  // namespace gpucnn::kernels
