#include <gpucnn/kernels/copy/cast.h>

#include <limits>

#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>

#include "close.h"
#include "device_test.h"
#include "misuse.h"
#include "reference/values.h"

namespace gpucnn::kernels {
namespace {

class CastTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, CastTest, devices(), device_name);

TEST_P(CastTest, RoundsToTheNearestAndBackExactly) {
  for (const std::int64_t size : {0, 1, 3, 31, 33, 257, 70000}) {
    SCOPED_TRACE(size);
    std::vector<float> values = reference::random_floats(size, 1);
    if (size > 3) values[2] = std::numeric_limits<float>::quiet_NaN();
    std::vector<double> expected;
    for (const float value : values) expected.push_back(static_cast<double>(to_float(to_bf16(value))));
    Tensor narrow = empty({size}, DType::bf16), wide = empty({size});
    cast(tensor(values), narrow, stream());
    cast(narrow, wide, stream());
    expect_close(wide.to_vector<float>(), expected, kSameValue);
  }
}

TEST_P(CastTest, TakesViewsThatBeginAnywhere) {
  const Tensor values = tensor(reference::random_floats(40, 1));
  Tensor narrow = empty({40}, DType::bf16), wide = empty({40});
  cast(values, narrow, stream());
  cast(narrow, wide, stream());
  const std::vector<float> whole = wide.to_vector<float>();
  Tensor part = narrow.narrow(3, 21), back = wide.narrow(1, 21);
  cast(values.narrow(3, 21), part, stream());
  cast(part, back, stream());
  EXPECT_EQ(back.to_vector<float>(), std::vector<float>(whole.begin() + 3, whole.begin() + 24));
}

TEST_P(CastTest, RefusesOtherDtypesAndShapes) {
  Tensor x = empty({3}), same = empty({3}), other = empty({4}, DType::bf16);
  EXPECT_THAT([&] { cast(x, same, stream()); }, misuse("cast: y must be bf16, got f32"));
  EXPECT_THAT([&] { cast(x, other, stream()); }, misuse("cast: y must be [3], got [4]"));
  EXPECT_THAT([&] { cast(empty({3}, DType::i32), x, stream()); }, misuse("cast: x must be f32, got i32"));
}

}  // namespace
}  // namespace gpucnn::kernels
