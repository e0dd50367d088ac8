#include <gpucnn/kernels/norm/group_norm.h>

#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/kernels/copy/cast.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/normalize.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::Values;
using reference::widen;

constexpr double kEps = 1e-5;

struct Case {
  Shape shape;
  std::int64_t groups;
};

const Case kCases[] = {
    {{2, 1, 3, 5}, 1},    {{1, 6, 31, 33}, 3}, {{3, 33, 3, 1}, 11}, {{2, 64, 7, 9}, 32}, {{4, 16, 9, 9}, 16}, {{2, 257, 3, 3}, 1},
    {{5, 12, 17, 19}, 2}, {{1, 300, 2, 7}, 4}, {{2, 8, 257, 1}, 4}, {{9, 5, 1, 31}, 5},  {{3, 63, 5, 4}, 21}, {{3, 9, 1, 1}, 3},
};

class GroupNormTest : public DeviceTest {
 protected:
  /// Of the f32 numbers in x and dy: the float64 reference.
  struct Expected {
    Expected(const Case& c, const std::vector<float>& x, const std::vector<float>& dy, const std::vector<float>& weight,
             const std::vector<float>& bias) {
      const reference::Normalize sizes{
          .N = c.shape[0], .C = c.shape[1], .pixels = c.shape[2] * c.shape[3], .groups = c.groups, .eps = kEps};
      statistics = reference::statistics(sizes, widen(x));
      y = reference::normalize(sizes, widen(x), statistics, widen(weight), widen(bias));
      gradients = reference::normalize_backward(sizes, widen(x), statistics, widen(weight), widen(dy), false);
    }
    reference::Statistics statistics;
    Values y;
    reference::NormalizeGradients gradients;
  };
};
INSTANTIATE_TEST_SUITE_P(Devices, GroupNormTest, devices(), device_name);

TEST_P(GroupNormTest, AgreesWithTheReferenceForEverySize) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.shape.string() + " in groups: " + std::to_string(c.groups));
    const Shape& shape = c.shape;
    const std::int64_t C = shape[1];
    std::vector<float> x = random_floats(shape.numel(), 1);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += static_cast<float>(i / 50 % 4);
    const std::vector<float> dy = random_floats(shape.numel(), 2), weight = random_floats(C, 3), bias = random_floats(C, 4);
    const Expected expected(c, x, dy, weight, bias);
    everywhere(device(), [&] {
      const Tensor xs = tensor(x, shape), ws = tensor(weight);
      Tensor statistics = empty({4, shape[0] * c.groups}), y = empty(shape), dx = empty(shape), dweight = empty({C}),
             dbias = empty({C});
      group_norm(xs, c.groups, kEps, ws, tensor(bias), statistics, y, stream());
      expect_close(statistics.narrow(0, 1).to_vector<float>(), expected.statistics.mean, kSum);
      expect_close(statistics.narrow(3, 1).to_vector<float>(), expected.statistics.var, kSum);
      expect_close(y.to_vector<float>(), expected.y, kSum);
      group_norm_backward(xs, c.groups, statistics, ws, tensor(dy, shape), {}, dweight, dbias, dx, stream());
      expect_close(dx.to_vector<float>(), expected.gradients.dx, {1e-5, 1e-5, 1e-7});  // of two values little is left
      expect_close(dweight.to_vector<float>(), expected.gradients.dweight, kSum);
      expect_close(dbias.to_vector<float>(), expected.gradients.dbias, kSum);
      std::vector<float> all = y.to_vector<float>();
      for (const Tensor& each : {statistics, dx, dweight, dbias}) {
        for (const float value : each.to_vector<float>()) all.push_back(value);
      }
      return all;
    });
  }
}

TEST_P(GroupNormTest, AddsToGradientsAndLeavesOutWhatIsNotWanted) {
  const Case c{{2, 6, 3, 4}, 2};
  const std::vector<float> x = random_floats(144, 1), dy = random_floats(144, 2), weight = random_floats(6, 3);
  const Expected expected(c, x, dy, weight, std::vector<float>(6));
  const Tensor xs = tensor(x, c.shape), ws = tensor(weight), dys = tensor(dy, c.shape);
  Tensor statistics = empty({4, 4}), y = empty(c.shape), dweight = tensor(std::vector<float>(6, 1)), dbias = empty({6}), none;
  group_norm(unaligned(xs), 2, kEps, unaligned(ws), {}, statistics, y, stream());
  expect_close(y.to_vector<float>(), expected.y, kSum);
  group_norm_backward(unaligned(xs), 2, statistics, ws, unaligned(dys), {.dweight = true}, dweight, dbias, none, stream());
  Values added = expected.gradients.dweight;
  for (double& value : added) value += 1;
  expect_close(dweight.to_vector<float>(), added, kSum);
  expect_close(dbias.to_vector<float>(), expected.gradients.dbias, kSum);
}

TEST_P(GroupNormTest, OneValueInEachGroupIsItsMean) {
  const Tensor x = tensor<float>({3, -5, 7, 11}, {2, 2, 1, 1}), bias = tensor<float>({0.5F, -2}, {2}),
               weight = tensor<float>({4, 8}, {2}), dy = tensor<float>({1, 2, 3, 4}, {2, 2, 1, 1});
  Tensor statistics = empty({4, 4}), y = empty(x.shape()), dx = empty(x.shape()), dweight = empty({2}), dbias = empty({2});
  group_norm(x, 2, kEps, weight, bias, statistics, y, stream());
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{0.5F, -2, 0.5F, -2}));
  group_norm_backward(x, 2, statistics, weight, dy, {}, dweight, dbias, dx, stream());
  // All that is left of dy * weight / sqrt(eps), up to 7600 here, is what rounding makes of it.
  expect_close(dx.to_vector<float>(), Values(4), {0, 0, 7600 * 1e-7});
  EXPECT_EQ(dweight.to_vector<float>(), std::vector<float>(2, 0));
  EXPECT_EQ(dbias.to_vector<float>(), (std::vector<float>{4, 6}));
}

TEST_P(GroupNormTest, In16BitsRoundsWhatTheReferenceGives) {
  if (device().kind == Device::Kind::cpu) GTEST_SKIP() << "bf16 is for GPUs";
  for (const Case& c : {Case{{3, 8, 9, 5}, 4}, Case{{2, 6, 7, 7}, 2}}) {
    const Shape& shape = c.shape;
    std::vector<float> x = random_floats(shape.numel(), 1), dy = random_floats(shape.numel(), 2);
    for (std::vector<float>* each : {&x, &dy}) {
      for (float& value : *each) value = to_float(to_bf16(value));
    }
    const std::vector<float> weight = random_floats(shape[1], 3), bias = random_floats(shape[1], 4);
    const Expected expected(c, x, dy, weight, bias);
    Tensor x16 = empty(shape, DType::bf16), dy16 = x16.clone(), y16 = x16.clone(), dx16 = x16.clone(), wide = empty(shape);
    Tensor statistics = empty({4, shape[0] * c.groups}), dweight = empty({shape[1]}), dbias = empty({shape[1]});
    cast(tensor(x, shape), x16, stream());
    cast(tensor(dy, shape), dy16, stream());
    group_norm(x16, c.groups, kEps, tensor(weight), tensor(bias), statistics, y16, stream());
    group_norm_backward(x16, c.groups, statistics, tensor(weight), dy16, {}, dweight, dbias, dx16, stream());
    cast(y16, wide, stream());
    expect_close(wide.to_vector<float>(), expected.y, kBf16);
    cast(dx16, wide, stream());
    expect_close(wide.to_vector<float>(), expected.gradients.dx, kBf16);
    expect_close(dweight.to_vector<float>(), expected.gradients.dweight, kSum);
    expect_close(dbias.to_vector<float>(), expected.gradients.dbias, kSum);
  }
}

TEST_P(GroupNormTest, RefusesGroupsAndTensorsThatDoNotFit) {
  Tensor x = empty({2, 6, 4, 4}), y = x.clone(), statistics = empty({4, 8}), few = empty({4, 6}), weight = empty({5}), none;
  for (const std::int64_t groups : {4, 0, -1, 7}) {
    EXPECT_THAT([&] { group_norm(x, groups, kEps, {}, {}, statistics, y, stream()); },
                misuse("group_norm: num_groups must divide the 6 channels, got " + std::to_string(groups)));
    EXPECT_THAT([&] { group_norm_backward(x, groups, statistics, {}, y, {}, none, none, y, stream()); },
                misuse("group_norm_backward: num_groups must divide the 6 channels"));
  }
  EXPECT_THAT([&] { group_norm(x, 2, -1, {}, {}, statistics, y, stream()); }, misuse("group_norm: eps must be"));
  EXPECT_THAT([&] { group_norm(x, 2, kEps, {}, {}, few, y, stream()); }, misuse("statistics must be [4, 4], got [4, 6]"));
  EXPECT_THAT([&] { group_norm(x, 2, kEps, weight, {}, few, y, stream()); }, misuse("must be [6], got [5]"));
}

}  // namespace
}  // namespace gpucnn::kernels
