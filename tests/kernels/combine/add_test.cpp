#include <gpucnn/kernels/combine/add.h>

#include <limits>

#include <gtest/gtest.h>

#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/values.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

class AddTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, AddTest, devices(), device_name);

std::vector<float> sums(const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> all;
  for (std::size_t i = 0; i < a.size(); ++i) all.push_back(a[i] + b[i]);
  return all;
}

TEST_P(AddTest, AddsInEverySizeAndInPlace) {
  for (const std::int64_t count : {0, 1, 3, 31, 33, 257, 70'001}) {
    SCOPED_TRACE(count);
    const std::vector<float> a = reference::random_floats(count, 1), b = reference::random_floats(count, 2);
    everywhere(device(), [&] {
      Tensor x = tensor(a), more = tensor(b), y = empty({count});
      add(x, more, y, stream());
      add(x, more, x, stream());
      EXPECT_EQ(y.to_vector<float>(), sums(a, b));
      EXPECT_EQ(x.to_vector<float>(), sums(a, b));
      return y.to_vector<float>();
    });
  }
}

TEST_P(AddTest, KeepsWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Tensor y = empty({3});
  add(tensor({kInfinity, kInfinity, -kInfinity}), tensor({1.0F, -kInfinity, -1.0F}), y, stream());
  const std::vector<float> values = y.to_vector<float>();
  EXPECT_EQ(values[0], kInfinity);
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(values[2], -kInfinity);
}

TEST_P(AddTest, ViewsMayBeginAnywhere) {
  const std::vector<float> a = reference::random_floats(50, 1), b = reference::random_floats(50, 2);
  Tensor y = unaligned(empty({50}));
  add(unaligned(tensor(a)), tensor(b), y, stream());
  EXPECT_EQ(y.to_vector<float>(), sums(a, b));
}

TEST_P(AddTest, RefusesOtherShapesAndTypes) {
  Tensor x = empty({2, 3}), other = empty({3, 2}), integers = empty({2, 3}, DType::i32);
  EXPECT_THAT([&] { add(x, other, x, stream()); }, misuse("add: b must be [2, 3], got [3, 2]"));
  EXPECT_THAT([&] { add(x, x, other, stream()); }, misuse("add: y must be [2, 3], got [3, 2]"));
  EXPECT_THAT([&] { add(integers, x, x, stream()); }, misuse("add: a must be f32"));
}

}  // namespace
}  // namespace gpucnn::kernels
