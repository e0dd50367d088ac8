#include <gpucnn/kernels/metrics/argmax.h>

#include <limits>

#include <gtest/gtest.h>

#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/values.h"

namespace gpucnn::kernels {
namespace {

using Indices = std::vector<std::int64_t>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class ArgmaxTest : public DeviceTest {
 protected:
  Indices argmax_of(const std::vector<float>& x, std::int64_t N, std::int64_t C) {
    Tensor y = empty({N}, DType::i64);
    argmax(tensor(x, {N, C}), y, stream());
    return y.to_vector<std::int64_t>();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, ArgmaxTest, devices(), device_name);

TEST_P(ArgmaxTest, IsTheFirstOfTheLargest) {
  EXPECT_EQ(argmax_of({1, 3, 2, 5, 5, 4, -1, -1, -1, 0, 1, kInfinity}, 4, 3), (Indices{1, 0, 0, 2}));
  EXPECT_EQ(argmax_of({-kInfinity, -kInfinity}, 1, 2), (Indices{0}));
}

TEST_P(ArgmaxTest, IsTheFirstNanIfThereIsOne) { EXPECT_EQ(argmax_of({kInfinity, kNan, kNan, kNan, 1, 2}, 2, 3), (Indices{1, 0})); }

TEST_P(ArgmaxTest, IsTheFirstOfTheLargestInALongRowToo) {
  std::vector<float> x(3 * 100, 1.0F);
  for (const std::size_t c : {97, 65, 33}) x[c] = 2;
  for (const std::size_t c : {164, 196, 170}) x[c] = kNan;
  EXPECT_EQ(argmax_of(x, 3, 100), (Indices{33, 64, 0}));
}

TEST_P(ArgmaxTest, FindsTheLargestInEverySize) {
  for (const Shape& shape : {Shape{1, 1}, Shape{3, 10}, Shape{31, 33}, Shape{257, 257}, Shape{1, 70'000}, Shape{0, 3}}) {
    SCOPED_TRACE(shape.string());
    const std::int64_t N = shape[0], C = shape[1];
    const std::vector<float> x = reference::random_floats(N * C, 1);
    Indices expected;
    for (auto row = x.begin(); row != x.end(); row += C) expected.push_back(std::max_element(row, row + C) - row);
    everywhere(device(), [&] {
      const Indices y = argmax_of(x, N, C);
      EXPECT_EQ(y, expected);
      return y;
    });
  }
}

TEST_P(ArgmaxTest, RefusesRowsWithoutElementsAndOtherShapes) {
  Tensor x = empty({2, 3}), none = empty({2, 0}), flat = empty({6}), y = empty({2}, DType::i64), three = empty({3}, DType::i64);
  EXPECT_THAT([&] { argmax(none, y, stream()); }, misuse("argmax: the number of columns must be > 0, got 0"));
  EXPECT_THAT([&] { argmax(flat, y, stream()); }, misuse("argmax: x must have 2 dimensions, got [6]"));
  EXPECT_THAT([&] { argmax(x, three, stream()); }, misuse("argmax: y must be [2], got [3]"));
  EXPECT_THAT([&] { argmax(x, flat, stream()); }, misuse("argmax: y must be i64"));
}

}  // namespace
}  // namespace gpucnn::kernels
