#include <gpucnn/kernels/copy/flatten.h>

#include <gtest/gtest.h>

#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/values.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

class FlattenTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, FlattenTest, devices(), device_name);

// In logical order flattening is the identity: only the memory moves.
TEST_P(FlattenTest, KeepsTheLogicalOrderInEverySize) {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{1, 3, 1, 1}, Shape{2, 3, 2, 2}, Shape{3, 32, 8, 8}, Shape{1, 31, 3, 11},
                             Shape{2, 33, 1, 257}, Shape{5, 4, 3, 3}, Shape{40, 16, 9, 9}, Shape{2, 1, 5, 5}, Shape{2, 3, 45, 47},
                             Shape{1, 2100, 3, 2}, Shape{2, 70, 9, 10}, Shape{0, 3, 4, 4}, Shape{2, 0, 4, 4}}) {
    SCOPED_TRACE(shape.string());
    const std::vector<float> values = reference::random_floats(shape.numel(), 1);
    const Shape rows{shape[0], shape[1] * shape[2] * shape[3]};
    everywhere(device(), [&] {
      Tensor y = empty(rows), dx = empty(shape);
      flatten(tensor(values, shape), y, stream());
      EXPECT_EQ(y.to_vector<float>(), values);
      flatten_backward(y, dx, stream());
      EXPECT_EQ(dx.to_vector<float>(), values);
      return y.to_vector<float>();
    });
  }
}

TEST_P(FlattenTest, ViewsMayBeginAnywhere) {
  const Shape shape{2, 8, 6, 6};
  const std::vector<float> values = reference::random_floats(shape.numel(), 1);
  Tensor y = unaligned(empty({2, 288})), dx = unaligned(empty(shape));
  flatten(unaligned(tensor(values, shape)), y, stream());
  EXPECT_EQ(y.to_vector<float>(), values);
  flatten_backward(y, dx, stream());
  EXPECT_EQ(dx.to_vector<float>(), values);
}

TEST_P(FlattenTest, RefusesOtherShapesAndWorkInPlace) {
  Tensor x = empty({2, 3, 4, 5}), y = empty({2, 60}), integers = empty({2, 3, 4, 5}, DType::i32), alias = x.view(0, {2, 60});
  EXPECT_THAT([&] { flatten(y, y, stream()); }, misuse("flatten: x must have 4 dimensions, got [2, 60]"));
  EXPECT_THAT([&] { flatten(x, x, stream()); }, misuse("flatten: y must be [2, 60], got [2, 3, 4, 5]"));
  EXPECT_THAT([&] { flatten(integers, y, stream()); }, misuse("flatten: x must be f32"));
  EXPECT_THAT([&] { flatten(x, alias, stream()); }, misuse("flatten: y and x share memory"));
  EXPECT_THAT([&] { flatten_backward(x, x, stream()); }, misuse("flatten_backward: dy must be [2, 60]"));
  EXPECT_THAT([&] { flatten_backward(y, y, stream()); }, misuse("flatten_backward: dx must have 4 dimensions"));
  EXPECT_THAT([&] { flatten_backward(alias, x, stream()); }, misuse("flatten_backward: dx and dy share memory"));
}

}  // namespace
}  // namespace gpucnn::kernels
