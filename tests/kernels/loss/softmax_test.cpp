#include <gpucnn/kernels/loss/softmax.h>

#include <algorithm>
#include <cfenv>
#include <limits>

#include <gtest/gtest.h>

#include <gpucnn/kernels/loss/softmax_row.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/softmax.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class SoftmaxTest : public DeviceTest {
 protected:
  std::vector<float> softmax_of(const std::vector<float>& x, const Shape& shape) {
    Tensor y = empty(shape);
    softmax(tensor(x, shape), y, stream());
    return y.to_vector<float>();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, SoftmaxTest, devices(), device_name);

TEST_P(SoftmaxTest, SharesOneAmongEquals) {
  EXPECT_EQ(softmax_of({5, 5, 5, 5, -1, -kInfinity, -1, -kInfinity}, {2, 4}),
            (std::vector<float>{0.25, 0.25, 0.25, 0.25, 0.5, 0, 0.5, 0}));
}

TEST_P(SoftmaxTest, DoesNotOverflow) {
  EXPECT_EQ(softmax_of({3e38F, -3e38F, -3e38F, -3e38F}, {2, 2}), (std::vector<float>{1, 0, 0.5, 0.5}));
}

TEST_P(SoftmaxTest, ARowWithoutALargestFiniteValueIsNan) {
  expect_close(softmax_of({1, kNan, 1, kInfinity, -kInfinity, -kInfinity, 2, 2}, {4, 2}),
               reference::Values{kNan, kNan, kNan, kNan, kNan, kNan, 0.5, 0.5}, kSameValue);
}

TEST(SoftmaxCpuTest, RaisesNoFloatingPointExceptionForFiniteRows) {
  for (const std::int64_t target : ForcedInstructionSet::all()) {
    const ForcedInstructionSet forced(target);
    for (std::size_t C = 1; C <= 33; ++C) {
      SCOPED_TRACE(testing::Message() << hwy::TargetName(target) << ", " << C << " classes");
      std::vector<float> equal(C), apart = reference::random_floats(static_cast<std::int64_t>(C), 1), far(C), e(C);
      for (std::size_t c = 0; c < C; ++c) {
        apart[c] *= 200;
        far[c] = c % 2 ? 3e38F : -3e38F;
      }
      for (const std::vector<float>& row : {equal, apart, far}) {
        std::feclearexcept(FE_ALL_EXCEPT);
        cpu::softmax_row(row.data(), e.data(), static_cast<std::int64_t>(C));
        EXPECT_EQ(std::fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW), 0);
      }
    }
  }
}

TEST_P(SoftmaxTest, AgreesWithTheReferenceForEverySize) {
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 10}, Shape{128, 10}, Shape{33, 31}, Shape{31, 33}, Shape{2, 257},
                             Shape{257, 257}, Shape{1, 5000}, Shape{0, 3}, Shape{3, 0}, Shape{65, 16}, Shape{65, 17}, Shape{9, 128},
                             Shape{9, 129}, Shape{17, 1000}, Shape{3, 1024}, Shape{3, 1025}}) {
    SCOPED_TRACE(shape.string());
    const std::int64_t N = shape[0], C = shape[1];
    std::vector<float> x = reference::random_floats(N * C, 1);
    for (float& value : x) value *= 20;
    const reference::Values expected =
        reference::softmax(static_cast<std::size_t>(N), static_cast<std::size_t>(C), reference::widen(x));
    everywhere(device(), [&] {
      const std::vector<float> y = softmax_of(x, shape);
      expect_close(y, expected, kPointwise);
      return y;
    });
  }
}

TEST_P(SoftmaxTest, ItsBackwardAgreesWithTheReferenceForEverySize) {
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 10}, Shape{33, 31}, Shape{31, 33}, Shape{257, 257}, Shape{0, 3}, Shape{3, 0},
                             Shape{65, 16}, Shape{9, 128}, Shape{9, 129}, Shape{17, 1000}, Shape{3, 1025}}) {
    SCOPED_TRACE(shape.string());
    const auto N = static_cast<std::size_t>(shape[0]), C = static_cast<std::size_t>(shape[1]);
    std::vector<float> x = reference::random_floats(shape.numel(), 1);
    for (float& value : x) value *= 5;
    const std::vector<float> dy = reference::random_floats(shape.numel(), 2);
    const reference::Values expected =
        reference::softmax_backward(N, C, reference::softmax(N, C, reference::widen(x)), reference::widen(dy));
    everywhere(device(), [&] {
      const Tensor y = tensor(softmax_of(x, shape), shape);
      Tensor dx = empty(shape), in_place = tensor(dy, shape);
      softmax_backward(y, tensor(dy, shape), dx, stream());
      expect_close(dx.to_vector<float>(), expected, kSum);
      softmax_backward(y, in_place, in_place, stream());
      EXPECT_EQ(in_place.to_vector<float>(), dx.to_vector<float>());
      return dx.to_vector<float>();
    });
  }
}

TEST_P(SoftmaxTest, ItsBackwardIsExactWhereNearlyEqualGradientsLeaveLittle) {
  for (const std::int64_t C : {3, 16, 100, 1000, 2000}) {
    SCOPED_TRACE(C);
    const std::vector<float> y = softmax_of(reference::random_floats(2 * C, 1), {2, C});
    const std::vector<float> dy(y.size(), 3.3F);
    Tensor dx = empty({2, C});
    softmax_backward(tensor(y, {2, C}), tensor(dy, {2, C}), dx, stream());
    const auto columns = static_cast<std::size_t>(C);
    expect_close(dx.to_vector<float>(), reference::softmax_backward(2, columns, reference::widen(y), reference::widen(dy)), kSum);
  }
}

TEST_P(SoftmaxTest, ItsBackwardPassesInfinitiesOn) {
  for (const std::int64_t C : {2, 20, 200, 2000}) {
    SCOPED_TRACE(C);
    std::vector<float> dy(static_cast<std::size_t>(C), 1.0F);
    dy[1] = kInfinity;
    const Tensor y = tensor(softmax_of(std::vector<float>(dy.size()), {1, C}), {1, C});
    Tensor dx = empty({1, C});
    softmax_backward(y, tensor(dy, {1, C}), dx, stream());
    reference::Values expected(dy.size(), -static_cast<double>(kInfinity));
    expected[1] = static_cast<double>(kNan);
    expect_close(dx.to_vector<float>(), expected, kSameValue);
  }
}

TEST_P(SoftmaxTest, EachPixelOfAnImageIsARow) {
  const Shape shape{2, 5, 3, 7};
  const std::vector<float> x = reference::random_floats(shape.numel(), 1), dy = reference::random_floats(shape.numel(), 2);
  Tensor y = empty(shape), dx = empty(shape);
  softmax(tensor(x, shape), y, stream());
  softmax_backward(y, tensor(dy, shape), dx, stream());
  // The same rows one below the other, [N, H, W] by C.
  const auto rows_of = [](const std::vector<float>& images) {
    std::vector<float> rows(images.size());
    for (std::size_t n = 0, e = 0; n < 2; ++n) {
      for (std::size_t c = 0; c < 5; ++c) {
        for (std::size_t pixel = 0; pixel < 21; ++pixel) rows[(n * 21 + pixel) * 5 + c] = images[e++];
      }
    }
    return rows;
  };
  EXPECT_EQ(rows_of(y.to_vector<float>()), softmax_of(rows_of(x), {42, 5}));
  Tensor rows = empty({42, 5});
  softmax_backward(tensor(rows_of(y.to_vector<float>()), {42, 5}), tensor(rows_of(dy), {42, 5}), rows, stream());
  EXPECT_EQ(rows_of(dx.to_vector<float>()), rows.to_vector<float>());
}

TEST_P(SoftmaxTest, WorksInPlace) {
  const std::vector<float> x = reference::random_floats(5 * 11, 1);
  Tensor y = tensor(x, {5, 11});
  softmax(y, y, stream());
  EXPECT_EQ(y.to_vector<float>(), softmax_of(x, {5, 11}));
}

TEST_P(SoftmaxTest, HasTheSameBitsWhereverViewsBegin) {
  for (const std::int64_t C : {4, 16, 64, 128, 1000, 1024, 2000}) {
    SCOPED_TRACE(C);
    const Tensor x = tensor(reference::random_floats(9 * C, 1), {9, C});
    Tensor y = empty({9, C}), from_anywhere = empty({9, C}), to_anywhere = unaligned(y);
    softmax(x, y, stream());
    softmax(unaligned(x), from_anywhere, stream());
    softmax(x, to_anywhere, stream());
    EXPECT_EQ(from_anywhere.to_vector<float>(), y.to_vector<float>());
    EXPECT_EQ(to_anywhere.to_vector<float>(), y.to_vector<float>());
    Tensor dx = empty({9, C});
    softmax_backward(y, x, dx, stream());
    softmax_backward(y, unaligned(x), from_anywhere, stream());
    softmax_backward(y, x, to_anywhere, stream());
    EXPECT_EQ(from_anywhere.to_vector<float>(), dx.to_vector<float>());
    EXPECT_EQ(to_anywhere.to_vector<float>(), dx.to_vector<float>());
  }
}

TEST_P(SoftmaxTest, ANanOrAnInfinityAnywhereSpoilsItsRowOnly) {
  for (const std::int64_t C : {3, 16, 33, 128, 1000, 1500}) {
    SCOPED_TRACE(C);
    for (const std::int64_t at : {std::int64_t{0}, C / 2, C - 1}) {
      for (const float value : {kNan, kInfinity}) {
        std::vector<float> x(static_cast<std::size_t>(3 * C), 1.0F);
        x[static_cast<std::size_t>(C + at)] = value;
        const std::vector<float> y = softmax_of(x, {3, C});
        reference::Values expected(x.size(), 1.0 / static_cast<double>(C));
        std::fill(expected.begin() + C, expected.begin() + 2 * C, static_cast<double>(kNan));
        expect_close(y, expected, kPointwise);
      }
    }
  }
}

TEST_P(SoftmaxTest, TakesViews) {
  const std::vector<float> x = reference::random_floats(6 * 7 + 1, 1);
  Tensor y = empty({6 * 7 + 3}).view(3, {6, 7});
  softmax(tensor(x).view(1, {6, 7}), y, stream());
  EXPECT_EQ(y.to_vector<float>(), softmax_of({x.begin() + 1, x.end()}, {6, 7}));
}

TEST_P(SoftmaxTest, RefusesOtherRanksShapesAndDtypes) {
  Tensor x = empty({2, 3}), flat = empty({6}), integers = empty({2, 3}, DType::i64);
  EXPECT_THAT([&] { softmax(flat, flat, stream()); }, misuse("softmax: x must be [N, C] or [N, C, H, W], got [6]"));
  EXPECT_THAT([&] { softmax(x, flat, stream()); }, misuse("softmax: y must be [2, 3], got [6]"));
  EXPECT_THAT([&] { softmax(integers, x, stream()); }, misuse("softmax: x must be f32"));
  EXPECT_THAT([&] { softmax_backward(x, flat, x, stream()); }, misuse("softmax_backward: dy must be [2, 3], got [6]"));
  EXPECT_THAT([&] { softmax_backward(flat, x, x, stream()); }, misuse("softmax_backward: y must be [N, C] or [N, C, H, W]"));
}

}  // namespace
}  // namespace gpucnn::kernels
