#include <gpucnn/kernels/linear/linear.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/kernels/copy/cast.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "pretended_bf16.h"
#include "reference/activation.h"
#include "reference/linear.h"

namespace gpucnn::kernels {
namespace {

using reference::random_floats;
using reference::widen;

struct Case {
  std::int64_t N, in, out;
  bool bias = true;
  std::size_t nonzero = 1;  // every nonzero-th gradient of y is not 0
};

constexpr Case kCases[] = {{1, 1, 1},
                           {4, 2048, 128},
                           {45, 1027, 275},
                           {64, 1027, 256},
                           {120, 2100, 139, false},
                           {15, 65, 70},
                           {33, 31, 257},
                           {128, 128, 10},
                           {257, 3, 33},
                           {70, 257, 65, false},
                           {3, 40, 33, true, 4},
                           {16, 70, 18, true, 3},
                           {131, 257, 65, false, 5},
                           {300, 33, 20, true, 4},
                           {33, 70, 300, true, 3},
                           {150, 40, 145, true, 3},
                           {33, 100, 40, true, 10'000}};

std::string text(const Case& c) {
  return std::to_string(c.N) + "x" + std::to_string(c.in) + " to " + std::to_string(c.out) + (c.bias ? "" : " without bias") +
         (c.nonzero > 1 ? ", one gradient of " + std::to_string(c.nonzero) : "");
}

/// All but every n-th set to 0.
std::vector<float> every_nth(std::size_t n, std::vector<float> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % n != n - 1) values[i] = 0;
  }
  return values;
}

/// Values that the precision's dtype holds exactly.
std::vector<float> exact_values(std::int64_t count, unsigned seed, Precision precision) {
  std::vector<float> values = random_floats(count, seed);
  if (precision == Precision::bf16) {
    for (float& value : values) value = to_float(to_bf16(value));
  }
  return values;
}

/// The tensors of one product, filled from fixed seeds, each of which begins at element `first` of its memory.
class Problem {
 public:
  Problem(const Case& c, Device device, std::int64_t first = 0, Precision precision = Precision::fp32)
      : x_values_(exact_values(c.N * c.in, 1, precision)),
        weight_values_(exact_values(c.in * c.out, 2, precision)),
        bias_values_(exact_values(c.bias ? c.out : 0, 3, precision)),
        dy_values_(every_nth(c.nonzero, exact_values(c.N * c.out, 4, precision))),
        first_(first),
        dtype_(activation_dtype(precision, device)),
        stream(device),
        x(filled(x_values_, {c.N, c.in})),
        weight(filled(weight_values_, {c.out, c.in})),
        bias(c.bias ? filled(bias_values_, {c.out}) : Tensor{}),
        plan(x.shape(), c.out, c.bias, device, precision),
        dy(filled(dy_values_, plan.y_shape())),
        y(empty(plan.y_shape(), dtype_)),
        dx(empty(x.shape(), dtype_)),
        dweight(empty(weight.shape(), DType::f32)),
        dbias(c.bias ? empty(bias.shape(), DType::f32) : Tensor{}) {}

  void run() {
    plan.forward(x, weight, bias, {}, y, stream);
    plan.backward_data(dy, weight, dx, stream);
    plan.backward_weights(x, dy, {}, dweight, dbias, stream);
  }

  std::vector<float> values(const Tensor& tensor) {
    if (tensor.dtype() == DType::f32) return tensor.to_vector<float>();
    Tensor wide = Tensor::empty(tensor.shape(), DType::f32, stream.device());
    cast(tensor, wide, stream);
    return wide.to_vector<float>();
  }

  /// All results, one after the other.
  std::vector<float> results() {
    std::vector<float> all;
    for (const Tensor& tensor : {y, dx, dweight, dbias}) {
      if (!tensor.defined()) continue;
      const std::vector<float> some = values(tensor);
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }

  /// `activations`: of y and dx; `weights`: of dweight.
  void expect_reference(const Case& c, Tolerance activations, Tolerance weights) {
    const auto N = static_cast<std::size_t>(c.N), in = static_cast<std::size_t>(c.in), out = static_cast<std::size_t>(c.out);
    const auto wide_x = widen(x_values_), wide_weight = widen(weight_values_);
    const auto expected_y = reference::linear(N, in, out, wide_x, wide_weight, widen(bias_values_));
    if (dtype_ == DType::bf16 && c.bias && c.in % 2 != 0) {
      const auto products = reference::linear(N, in, out, wide_x, wide_weight, reference::Values(out));
      expect_rounded(values(y), expected_y, products, activations);
    } else {
      expect_close(values(y), expected_y, activations);
    }
    const auto gradients = reference::linear_backward(N, in, out, wide_x, wide_weight, widen(dy_values_));
    expect_close(values(dx), gradients.dx, activations);
    expect_close(values(dweight), gradients.dweight, weights);
    if (c.bias) expect_close(values(dbias), gradients.dbias, kSum);
  }

 private:
  /// A product may be rounded before the bias is added, and the sum again.
  static void expect_rounded(const std::vector<float>& actual, const reference::Values& expected, const reference::Values& products,
                             Tolerance tolerance) {
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double allowed = tolerance.relative * (std::abs(expected[i]) + std::abs(products[i]));
      ASSERT_NEAR(static_cast<double>(actual[i]), expected[i], allowed) << "element " << i << " of " << expected.size();
    }
  }

  Tensor empty(const Shape& shape, DType dtype) const {
    return Tensor::empty({shape.numel() + first_}, dtype, stream.device()).view(first_, shape);
  }
  Tensor filled(const std::vector<float>& given, const Shape& shape) {
    Tensor tensor = empty(shape, dtype_);
    const Tensor as_given = Tensor::from(given, shape, stream.device());
    if (dtype_ == DType::f32) {
      tensor.copy_from(as_given);
    } else {
      cast(as_given, tensor, stream);
    }
    return tensor;
  }

  std::vector<float> x_values_, weight_values_, bias_values_, dy_values_;
  std::int64_t first_;  // element of its memory at which each tensor begins
  DType dtype_;         // of what is not a gradient of a parameter

 public:
  Stream stream;
  Tensor x, weight, bias;
  LinearPlan plan;
  Tensor dy, y, dx, dweight, dbias;
};

class LinearTest : public DeviceTest {
 protected:
  bool has(Precision precision) const {
    try {
      require_precision(precision, device());
      return true;
    } catch (const DeviceError&) {
      return false;
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, LinearTest, devices(), device_name);

TEST_P(LinearTest, EqualsTheReference) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(text(c));
    everywhere(device(), [&] {
      Problem problem(c, device());
      problem.run();
      problem.expect_reference(c, products_on(device()), products_on(device()));
      return problem.results();
    });
  }
}

TEST_P(LinearTest, TakesViewsThatBeginAtAnyElement) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(text(c));
    Problem problem(c, device(), 1);
    problem.run();
    problem.expect_reference(c, products_on(device()), products_on(device()));
  }
}

TEST_P(LinearTest, InTf32KeepsTenBitsOfEachFactor) {
  if (!has(Precision::tf32)) GTEST_SKIP() << "the device has no tf32";
  for (const Case& c : kCases) {
    SCOPED_TRACE(text(c));
    Problem problem(c, device(), 0, Precision::tf32);
    problem.run();
    problem.expect_reference(c, kTf32, kTf32);
  }
}

TEST_P(LinearTest, InBf16RoundsActivationsAndAddsInF32) {
  const PretendedBf16 there;
  if (!has(Precision::bf16)) GTEST_SKIP() << "the device has no bf16";
  const bool on_cpu = device() == Device::cpu();  // where activations are f32
  for (const std::int64_t first : {0, 1}) {
    for (const Case& c : kCases) {
      SCOPED_TRACE(text(c));
      everywhere(device(), [&] {
        Problem problem(c, device(), first, Precision::bf16);
        problem.run();
        problem.expect_reference(c, on_cpu ? kSum : kBf16, on_cpu ? kSum : kVendorSum);
        return problem.results();
      });
    }
  }
}

TEST_P(LinearTest, AppliesAnEpilogueAsTheActivationDoes) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(text(c));
    Problem problem(c, device());
    problem.run();
    const Tensor y = problem.y.clone();
    for (const auto& each : reference::kActivations) {
      SCOPED_TRACE(each.name);
      Tensor expected = Tensor::empty(y.shape(), y.dtype(), device());
      activation(y, each.function, expected, problem.stream);
      problem.plan.forward(problem.x, problem.weight, problem.bias, each.function, problem.y, problem.stream);
      EXPECT_EQ(problem.y.to_vector<float>(), expected.to_vector<float>());
    }
  }
}

TEST_P(LinearTest, AddsToGradientsWhereAsked) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(text(c));
    Problem problem(c, device());
    problem.run();
    std::vector<double> dweight = widen(problem.dweight.to_vector<float>()), dbias;
    if (c.bias) dbias = widen(problem.dbias.to_vector<float>());
    problem.plan.backward_weights(problem.x, problem.dy, {.dweight = true}, problem.dweight, problem.dbias, problem.stream);
    for (double& value : dweight) value *= 2;
    expect_close(problem.dweight.to_vector<float>(), dweight, kPointwise);
    if (!c.bias) continue;
    expect_close(problem.dbias.to_vector<float>(), dbias, kPointwise);
    problem.plan.backward_weights(problem.x, problem.dy, {.dbias = true}, problem.dweight, problem.dbias, problem.stream);
    for (double& value : dweight) value /= 2;
    for (double& value : dbias) value *= 2;
    expect_close(problem.dweight.to_vector<float>(), dweight, kPointwise);
    expect_close(problem.dbias.to_vector<float>(), dbias, kPointwise);
  }
}

TEST_P(LinearTest, GivesTheSameBitsEveryTimeOnAnyNumberOfThreads) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(text(c));
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 5}) {
      const ForcedThreads forced(threads);
      Problem problem(c, device());
      problem.run();
      results.push_back(problem.results());
    }
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
  }
}

TEST(LinearOnTheCpu, GivesAnImageAndAnOutputTheBitsThatTheyHaveAlone) {
  constexpr std::int64_t kImages = 5, kOutputs = 13;
  Stream stream(Device::cpu());
  for (std::int64_t in = 1; in < 40; ++in) {
    const Tensor x = Tensor::from(random_floats(kImages * in, 1), {kImages, in});
    const Tensor weight = Tensor::from(random_floats(kOutputs * in, 2), {kOutputs, in});
    for (const std::int64_t target : ForcedInstructionSet::all()) {
      SCOPED_TRACE(std::to_string(in) + " inputs, " + hwy::TargetName(target));
      const ForcedInstructionSet forced(target);
      const auto product = [&](const Tensor& images, const Tensor& outputs) {
        LinearPlan plan(images.shape(), outputs.dim(0), false, Device::cpu());
        Tensor y = Tensor::empty(plan.y_shape());
        plan.forward(images, outputs, {}, {}, y, stream);
        return y.to_vector<float>();
      };
      const std::vector<float> all = product(x, weight);
      for (std::int64_t n = 0; n < kImages; ++n) {
        for (std::int64_t o = 0; o < kOutputs; ++o) {
          const std::vector<float> alone = product(x.view(n * in, {1, in}), weight.view(o * in, {1, in}));
          ASSERT_EQ(alone, std::vector{all[static_cast<std::size_t>(n * kOutputs + o)]}) << "image " << n << ", output " << o;
        }
      }
    }
  }
}

TEST(LinearOnTheCpu, GivesABatchInTilesTheBitsOfAnImageAlone) {
  Stream stream(Device::cpu());
  const Activation relu{Activation::relu};
  for (const Case& c : {Case{45, 1027, 275}, Case{64, 1027, 257}, Case{67, 2077, 300}, Case{150, 2100, 139, false}}) {
    const Tensor x = Tensor::from(random_floats(c.N * c.in, 1), {c.N, c.in});
    const Tensor weight = Tensor::from(random_floats(c.out * c.in, 2), {c.out, c.in});
    const Tensor bias = c.bias ? Tensor::from(random_floats(c.out, 3), {c.out}) : Tensor{};
    for (const std::int64_t target : ForcedInstructionSet::all()) {
      SCOPED_TRACE(text(c) + ", " + hwy::TargetName(target));
      const ForcedInstructionSet forced(target);
      LinearPlan all({c.N, c.in}, c.out, c.bias, Device::cpu()), alone({1, c.in}, c.out, c.bias, Device::cpu());
      Tensor y = Tensor::empty({c.N, c.out}), expected = Tensor::empty({c.N, c.out});
      all.forward(x, weight, bias, relu, y, stream);
      for (std::int64_t n = 0; n < c.N; ++n) {
        Tensor row = expected.view(n * c.out, {1, c.out});
        alone.forward(x.view(n * c.in, {1, c.in}), weight, bias, relu, row, stream);
      }
      ASSERT_EQ(y.to_vector<float>(), expected.to_vector<float>());
    }
  }
}

TEST(LinearOnTheCpu, SeesThatKeptWeightsHaveChanged) {
  constexpr Case kPacked{150, 1100, 300};
  Problem problem(kPacked, Device::cpu());
  const auto product = [&] {
    problem.plan.forward(problem.x, problem.weight, problem.bias, {}, problem.y, problem.stream);
    return problem.y.to_vector<float>();
  };
  const std::vector<float> first = product();
  for (int call = 0; call < 3; ++call) EXPECT_EQ(product(), first) << "call " << call;

  const Tensor given = problem.weight.clone();
  problem.weight.copy_from(Tensor::zeros(given.shape()));
  for (int call = 0; call < 3; ++call) EXPECT_NE(product(), first) << "call " << call;
  problem.weight.copy_from(given);
  for (int call = 0; call < 3; ++call) EXPECT_EQ(product(), first) << "call " << call;

  float* weights = problem.weight.data<float>();  // from here on no version tells of a write
  for (int write = 0; write < 3; ++write) {
    weights[0] += 1;
    EXPECT_NE(product(), first) << "write " << write;
    weights[0] = std::as_const(given).data<float>()[0];
    EXPECT_EQ(product(), first) << "write " << write;
  }
}

TEST_P(LinearTest, GivesValuesWorkedByHand) {
  LinearPlan plan({1, 3}, 2, true, device());
  Tensor y = empty({1, 2});
  plan.forward(tensor<float>({1, 2, 3}, {1, 3}), tensor<float>({1, 0, -1, 2, 2, 2}, {2, 3}), tensor({0.5F, -0.5F}), {}, y,
               stream());
  EXPECT_THAT(y.to_vector<float>(), testing::ElementsAre(-1.5F, 11.5F));
}

TEST_P(LinearTest, KeepsNanThroughRelu) {
  LinearPlan plan({1, 1}, 2, false, device());
  Tensor y = empty({1, 2});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  plan.forward(tensor<float>({1}, {1, 1}), tensor<float>({nan, -1}, {2, 1}), {}, {Activation::relu}, y, stream());
  const std::vector<float> values = y.to_vector<float>();
  EXPECT_TRUE(std::isnan(values[0]));
  EXPECT_EQ(values[1], 0.0F);
}

TEST_P(LinearTest, KeepsNanAndInfinityInTheirRowAndColumn) {
  for (const Case& c : {Case{7, 40, 20}, Case{65, 1027, 270}}) {
    SCOPED_TRACE(text(c));
    Problem problem(c, device());
    std::vector<float> x = random_floats(c.N * c.in, 1), weight = random_floats(c.in * c.out, 2);
    const std::int64_t row = c.N - 2, column = c.out - 3;
    x[static_cast<std::size_t>(row * c.in + 5)] = std::numeric_limits<float>::infinity();
    weight[static_cast<std::size_t>(column * c.in + c.in - 1)] = std::numeric_limits<float>::quiet_NaN();
    problem.x.copy_from(Tensor::from(x, problem.x.shape(), device()));
    problem.weight.copy_from(Tensor::from(weight, problem.weight.shape(), device()));
    problem.plan.forward(problem.x, problem.weight, problem.bias, {}, problem.y, problem.stream);
    const std::vector<float> y = problem.y.to_vector<float>();
    for (std::int64_t n = 0; n < c.N; ++n) {
      for (std::int64_t o = 0; o < c.out; ++o) {
        const float value = y[static_cast<std::size_t>(n * c.out + o)];
        ASSERT_EQ(std::isnan(value), o == column) << n << ", " << o;
        ASSERT_EQ(std::isinf(value), n == row && o != column) << n << ", " << o;
      }
    }
  }
}

TEST_P(LinearTest, OfNoImagesHasZeroGradients) {
  LinearPlan plan({0, 3}, 2, true, device());
  Tensor dweight = Tensor::full({2, 3}, 7, device()), dbias = Tensor::full({2}, 7, device());
  plan.backward_weights(empty({0, 3}), empty({0, 2}), {.dweight = true}, dweight, dbias, stream());
  EXPECT_THAT(dweight.to_vector<float>(), testing::Each(7.0F));
  EXPECT_THAT(dbias.to_vector<float>(), testing::Each(0.0F));
  plan.backward_weights(empty({0, 3}), empty({0, 2}), {}, dweight, dbias, stream());
  EXPECT_THAT(dweight.to_vector<float>(), testing::Each(0.0F));
}

TEST(LinearShape, NamesWhatDoesNotFit) {
  EXPECT_THAT(([] { linear_shape({2, 1568}, 2048, 128); }), misuse("expects 2048 input features, got 1568"));
  EXPECT_THAT([] { linear_shape({2048}, 2048, 128); }, misuse("add a batch dimension"));
  EXPECT_THROW(linear_shape({2, 3, 2048}, 2048, 128), std::invalid_argument);
}

}  // namespace
}  // namespace gpucnn::kernels
