#include <gpucnn/kernels/pool/upsample_nearest2d.h>

#include <limits>

#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/upsample_nearest2d.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

class UpsampleNearest2dTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, UpsampleNearest2dTest, devices(), device_name);

TEST_P(UpsampleNearest2dTest, CopiesPixelsAndAddsTheirGradients) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor x = tensor<float>({1, nan, -0.0F, 4}, {1, 1, 2, 2});
  Tensor y = empty({1, 1, 2, 6}), dx = empty({1, 1, 2, 2});
  upsample_nearest2d(x, {1, 3}, y, stream());
  expect_close(y.to_vector<float>(), widen(std::vector<float>{1, 1, 1, nan, nan, nan, 0, 0, 0, 4, 4, 4}), kSameValue);
  EXPECT_TRUE(std::signbit(y.to_vector<float>()[6]));
  upsample_nearest2d_backward(tensor<float>({1, 2, 3, 4, 5, 6, nan, 8, 9, 10, 11, 12}, {1, 1, 2, 6}), {1, 3}, dx, stream());
  expect_close(dx.to_vector<float>(), widen(std::vector<float>{6, 15, nan, 33}), kSameValue);
}

TEST_P(UpsampleNearest2dTest, AgreesWithTheReference) {
  for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{3, 8, 4, 4}, Shape{1, 33, 1, 9}, Shape{2, 1, 31, 3}, Shape{5, 260, 1, 1},
                             Shape{0, 3, 2, 2}, Shape{2, 0, 2, 2}}) {
    for (const Size2 scale : {Size2(1), Size2(2), Size2(3, 1), Size2(2, 5)}) {
      SCOPED_TRACE(testing::Message() << shape.string() << " by " << scale.height << "x" << scale.width);
      const std::int64_t planes = shape[0] * shape[1], H = shape[2], W = shape[3];
      const Shape out = upsample_nearest2d_shape(shape, scale);
      ASSERT_EQ(out, (Shape{shape[0], shape[1], H * scale.height, W * scale.width}));
      const std::vector<float> x = random_floats(shape.numel(), 1), dy = random_floats(out.numel(), 2);
      const reference::Values expected = reference::upsample_nearest2d(planes, H, W, scale, widen(x));
      const reference::Values expected_dx = reference::upsample_nearest2d_backward(planes, H, W, scale, widen(dy));
      everywhere(device(), [&] {
        Tensor y = empty(out), odd = unaligned(y), dx = empty(shape);
        upsample_nearest2d(tensor(x, shape), scale, y, stream());
        expect_close(y.to_vector<float>(), expected, kSameValue);
        upsample_nearest2d(unaligned(tensor(x, shape)), scale, odd, stream());
        expect_close(odd.to_vector<float>(), expected, kSameValue);
        upsample_nearest2d_backward(tensor(dy, out), scale, dx, stream());
        expect_close(dx.to_vector<float>(), expected_dx, kSum);
        return dx.to_vector<float>();
      });
    }
  }
}

TEST_P(UpsampleNearest2dTest, RefusesWhatDoesNotFit) {
  Tensor x = empty({1, 2, 3, 4}), y = empty({1, 2, 6, 8}), flat = empty({2, 3});
  EXPECT_THAT([&] { upsample_nearest2d(x, 3, y, stream()); },
              misuse("upsample_nearest2d: y must be [1, 2, 9, 12], got [1, 2, 6, 8]"));
  EXPECT_THAT(
      [&] {
        upsample_nearest2d(x, {2, 0}, y, stream());
      },
      misuse("upsample_nearest2d: scale_factor must be positive, got 2x0"));
  EXPECT_THAT([&] { upsample_nearest2d(flat, 2, y, stream()); }, misuse("upsample_nearest2d: expects [N, C, H, W], got [2, 3]"));
  EXPECT_THAT([&] { upsample_nearest2d(x, 1, x, stream()); }, misuse("upsample_nearest2d: y and x share memory"));
  EXPECT_THAT([&] { upsample_nearest2d_backward(x, 2, y, stream()); },
              misuse("upsample_nearest2d_backward: dy must be [1, 2, 12, 16]"));
  EXPECT_THAT([] { upsample_nearest2d_shape({1, 1, 0, 4}, 2); }, misuse("images of [1, 1, 0, 4] have no pixel"));
  constexpr std::int64_t kLong = std::int64_t{1} << 62;
  EXPECT_THROW(upsample_nearest2d_shape({1, 1, kLong, 1}, {1 << 30, 1}), std::invalid_argument);
  EXPECT_THROW(upsample_nearest2d_shape({1, 1, kLong, 1}, {4, 1}), std::invalid_argument);
}

}  // namespace
}  // namespace gpucnn::kernels
