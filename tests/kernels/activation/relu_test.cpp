#include <gpucnn/kernels/activation/relu.h>

#include <limits>
#include <tuple>

#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/relu.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class ReluTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ReluTest, devices(), device_name);

TEST_P(ReluTest, StopsNegativesAndKeepsNan) {
  const Tensor x = tensor({-1, 0, 2.5, -kInfinity, kInfinity, kNan});
  Tensor y = empty({6});
  relu(x, y, stream());
  expect_close(y.to_vector<float>(), reference::Values{0, 0, 2.5, 0, kInfinity, kNan}, kSameValue);
}

TEST_P(ReluTest, BackwardPassesWhereTheOutputIsPositiveOrNan) {
  const Tensor y = tensor({0, 3, kNan, 0}), dy = tensor({5, 6, 7, kNan});
  Tensor dx = empty({4});
  relu_backward(y, dy, dx, stream());
  expect_close(dx.to_vector<float>(), reference::Values{0, 6, 7, 0}, kSameValue);
}

TEST_P(ReluTest, AgreesWithTheReferenceForEverySize) {
  for (const std::int64_t size : {0, 1, 3, 31, 33, 257, 257 * 257, 540'001}) {
    SCOPED_TRACE(size);
    const std::vector<float> x = random_floats(size, 1), dy = random_floats(size, 2);
    const reference::Values y = reference::relu(widen(x));
    everywhere(device(), [&] {
      Tensor out = empty({size}), dx = empty({size});
      relu(tensor(x), out, stream());
      expect_close(out.to_vector<float>(), y, kSameValue);
      relu_backward(out, tensor(dy), dx, stream());
      expect_close(dx.to_vector<float>(), reference::relu_backward(y, widen(dy)), kSameValue);
      return dx.to_vector<float>();
    });
  }
}

TEST_P(ReluTest, WorksInPlace) {
  const std::vector<float> values = random_floats(100, 1);
  Tensor x = tensor(values), dy = tensor(values);
  relu(x, x, stream());
  expect_close(x.to_vector<float>(), reference::relu(widen(values)), kSameValue);
  relu_backward(x, dy, dy, stream());
  expect_close(dy.to_vector<float>(), reference::relu(widen(values)), kSameValue);
}

TEST_P(ReluTest, ViewsMayBeginAnywhere) {
  for (const std::int64_t size : {0, 1, 2, 4, 5, 63, 4099}) {
    SCOPED_TRACE(size);
    const Tensor x = tensor(random_floats(size, 1)), dy = tensor(random_floats(size, 2));
    Tensor y = empty({size}), dx = empty({size}), odd_y = unaligned(y), odd_dx = unaligned(dx);
    relu(x, y, stream());
    relu_backward(y, dy, dx, stream());
    for (const Tensor& from : {x, unaligned(x)}) {
      relu(from, odd_y, stream());
      EXPECT_EQ(odd_y.to_vector<float>(), y.to_vector<float>());
    }
    relu(unaligned(x), y, stream());
    EXPECT_EQ(odd_y.to_vector<float>(), y.to_vector<float>());
    for (const auto& [out, from, to] : {std::tuple(y, dy, odd_dx), {y, unaligned(dy), unaligned(dx)}, {odd_y, dy, unaligned(dx)}}) {
      Tensor written = to;
      relu_backward(out, from, written, stream());
      EXPECT_EQ(written.to_vector<float>(), dx.to_vector<float>());
    }
  }
}

TEST_P(ReluTest, RefusesOtherShapesDtypesAndUndefinedTensors) {
  Tensor x = empty({2, 3}), other = empty({3, 2}), integers = empty({2, 3}, DType::i32), none;
  EXPECT_THAT([&] { relu(x, other, stream()); }, misuse("relu: y must be [2, 3], got [3, 2]"));
  EXPECT_THAT([&] { relu(integers, x, stream()); }, misuse("relu: x must be f32, got i32"));
  EXPECT_THAT([&] { relu(x, none, stream()); }, misuse("relu: y is undefined"));
  EXPECT_THAT([&] { relu_backward(x, other, x, stream()); }, misuse("relu_backward: dy must be [2, 3]"));
  EXPECT_THAT([&] { relu_backward(x, x, other, stream()); }, misuse("relu_backward: dx must be [2, 3]"));
}

}  // namespace
}  // namespace gpucnn::kernels
