#include <gpucnn/kernels/optim/moving_average.h>

#include <vector>

#include <gtest/gtest.h>

#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/values.h"
#include "unaligned.h"

namespace gpucnn {
namespace {

class MovingAverageTest : public DeviceTest {
 protected:
  Tensor count(std::int64_t updates) const { return tensor(std::vector<std::int64_t>{updates}, {}); }
};
INSTANTIATE_TEST_SUITE_P(Devices, MovingAverageTest, devices(), device_name);

TEST_P(MovingAverageTest, CopiesFirstAndThenGoesTowardsTheValue) {
  for (const std::int64_t size : {0, 1, 3, 31, 33, 257, 70'001}) {
    SCOPED_TRACE(size);
    const std::vector<float> x = reference::random_floats(size, 1), start = reference::random_floats(size, 2);
    for (const double decay : {0.0, 0.3, 0.999, 1.0}) {
      SCOPED_TRACE(decay);
      std::vector<double> expected;
      for (std::size_t i = 0; i < x.size(); ++i) {
        expected.push_back(decay * static_cast<double>(start[i]) + (1 - decay) * static_cast<double>(x[i]));
      }
      everywhere(device(), [&] {
        Tensor average = tensor(start), copied = unaligned(tensor(start));
        kernels::moving_average(tensor(x), decay, count(3), average, stream());
        kernels::moving_average(tensor(x), decay, count(0), copied, stream());
        EXPECT_EQ(copied.to_vector<float>(), x);
        const std::vector<float> values = average.to_vector<float>();
        expect_close(values, expected, kSum);
        EXPECT_TRUE(decay != 0 || values == x);
        EXPECT_TRUE(decay != 1 || values == start);
        return values;
      });
    }
  }
}

/// 0.999 * 999 + 0.001 * 3000 = 1001.001, and 0.999 + 0.001 * 1000 = 1.999.
TEST_P(MovingAverageTest, CutsWholeNumbersOff) {
  Tensor longs = tensor(std::vector<std::int64_t>{999, 1, -10, 16'777'216}, {4});
  kernels::moving_average(tensor(std::vector<std::int64_t>{3000, 1000, 0, 16'777'216}, {4}), 0.999, count(1), longs, stream());
  EXPECT_EQ(longs.to_vector<std::int64_t>(), (std::vector<std::int64_t>{1001, 1, -9, 16'777'216}));
  Tensor ints = tensor(std::vector<std::int32_t>{999, 1}, {2});
  kernels::moving_average(tensor(std::vector<std::int32_t>{3000, 1000}, {2}), 0.999, count(1), ints, stream());
  EXPECT_EQ(ints.to_vector<std::int32_t>(), (std::vector<std::int32_t>{1001, 1}));
  Tensor bytes = tensor(std::vector<std::uint8_t>{200, 1, 7, 8, 9}, {5});
  kernels::moving_average(tensor(std::vector<std::uint8_t>{100, 250, 7, 9, 8}, {5}), 0.5, count(1), bytes, stream());
  EXPECT_EQ(bytes.to_vector<std::uint8_t>(), (std::vector<std::uint8_t>{150, 125, 7, 8, 8}));
  std::vector<std::int64_t> still{0, 1, 2, 3, 6, 7, 9, -9, 16'777'217};  // 3 * 0.9F + 3 * 0.1F is 2.9999998
  longs = tensor(still, {9});
  kernels::moving_average(tensor(still, {9}), 0.9, count(1), longs, stream());
  EXPECT_EQ(longs.to_vector<std::int64_t>(), still);
}

TEST_P(MovingAverageTest, CountsAndRefuses) {
  Tensor updates = count(4), x = empty({3}), other = empty({4}), whole = empty({3}, DType::i32);
  kernels::count_average(updates, stream());
  EXPECT_EQ(updates.to_vector<std::int64_t>(), (std::vector<std::int64_t>{5}));
  EXPECT_THAT([&] { kernels::moving_average(x, 1.5, updates, x, stream()); }, misuse("moving_average: decay must be in [0, 1]"));
  EXPECT_THAT([&] { kernels::moving_average(x, 0.5, updates, other, stream()); }, misuse("moving_average: average must be [3]"));
  EXPECT_THAT([&] { kernels::moving_average(x, 0.5, updates, whole, stream()); }, misuse("moving_average: average must be f32"));
  EXPECT_THAT([&] { kernels::moving_average(x, 0.5, x, x, stream()); }, misuse("moving_average: n_averaged must be i64"));
  EXPECT_THAT([&] { kernels::count_average(x, stream()); }, misuse("count_average: n_averaged must be i64"));
}

}  // namespace
}  // namespace gpucnn
