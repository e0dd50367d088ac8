#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>
#include <gpucnn/kernels/copy/cast.h>

#include "conv2d_relu_pool_problem.h"
#include "device_test.h"
#include "misuse.h"

// What conv2d_relu_pool_test.cpp holds the CPU's chain to, of the kernels of a GPU.
namespace gpucnn::kernels {
namespace {

const Sizes kSizes[] = {
    {1, 1, 2, 2, 1},         {3, 3, 3, 2, 5},          {2, 3, 32, 32, 16},         {2, 16, 16, 16, 32}, {1, 5, 7, 5, 17},
    {17, 3, 7, 5, 3, false}, {3, 4, 17, 18, 16},       {3, 16, 16, 16, 33, false}, {3, 17, 5, 33, 5},   {1, 33, 6, 33, 65},
    {17, 1, 6, 7, 70},       {3, 70, 2, 3, 65, false}, {1, 8, 33, 20, 12},
};

/// Tensors of a precision's activations, whose first elements lie `at` elements behind a boundary.
struct Rounded {
  DType dtype;
  std::int64_t at;
  Stream& stream;

  Tensor empty(const Shape& shape) const { return Tensor::empty({shape.numel() + at}, dtype, stream.device()).view(at, shape); }
  Tensor operator()(const std::vector<float>& values, const Shape& shape) const {
    const Tensor given = Tensor::from(values, shape, stream.device());
    Tensor tensor = empty(shape);
    if (dtype == DType::f32) {
      tensor.copy_from(given);
    } else {
      cast(given, tensor, stream);
    }
    return tensor;
  }
  std::vector<float> values(const Tensor& tensor) const {
    if (dtype == DType::f32) return tensor.to_vector<float>();
    Tensor wide = Tensor::empty(tensor.shape(), DType::f32, stream.device());
    cast(tensor, wide, stream);
    return wide.to_vector<float>();
  }
};

/// The numbers that bf16 has.
std::vector<float> rounded_to_bf16(std::vector<float> values) {
  for (float& value : values) value = to_float(to_bf16(value));
  return values;
}

/// y, argmax and the gradients from operands of the precision. With `winners` these take argmax's place. `flat`: y and dy are.
Results backward_in(Precision precision, const Data& data, std::int64_t at, Device device, bool flat = false,
                    const std::vector<std::uint8_t>& winners = {}) {
  const Sizes& sizes = data.sizes;
  Stream stream(device);
  const Rounded rounded{activation_dtype(precision, device), at, stream};
  const Rounded full{DType::f32, at, stream};
  Conv2dReluPool conv{.weight = full(data.weight, sizes.weight()),
                      .bias = sizes.bias ? full(data.bias, {sizes.K}) : Tensor{},
                      .x = rounded(data.x, sizes.x()),
                      .argmax = Tensor::empty(sizes.y(), DType::u8, device),
                      .precision = precision};
  const Shape shape = flat ? Shape{sizes.N, sizes.y().numel() / sizes.N} : sizes.y();
  Tensor y = rounded.empty(shape), dx = rounded.empty(sizes.x());
  conv2d_relu_pool({&conv, 1}, y, stream);
  if (!winners.empty()) conv.argmax.copy_from(Tensor::from(winners, sizes.y()));
  Conv2dReluPoolGradients gradients{.dweight = Tensor::empty(sizes.weight(), DType::f32, device),
                                    .dbias = sizes.bias ? Tensor::empty({sizes.K}, DType::f32, device) : Tensor{}};
  conv2d_relu_pool_backward({&conv, 1}, rounded(data.dy, shape), {&gradients, 1}, dx, stream);
  return {.y = rounded.values(y),
          .dweight = gradients.dweight.to_vector<float>(),
          .dbias = sizes.bias ? gradients.dbias.to_vector<float>() : std::vector<float>(),
          .dx = rounded.values(dx),
          .argmax = conv.argmax.to_vector<std::uint8_t>()};
}

class Conv2dReluPoolGpuTest : public DeviceTest {
 protected:
  void expect_reference(const Data& data, std::int64_t at) {
    SCOPED_TRACE(data.sizes.string() + ", from element " + std::to_string(at));
    const Results actual = compute(data, at, device());
    const Forward expected = reference_forward(data);
    expect_close(actual.y, expected.y, kSum);
    // Where two are as large up to rounding, either may win.
    expect_close(at_argmax(data.sizes, expected.activations, actual.argmax), expected.y, kSum);
    expect_gradients(actual, reference_backward(data, actual.argmax), kSum);
  }

  /// In a precision that rounds, of numbers whose products and sums it has exactly.
  void expect_exactly(Precision precision, const Sizes& sizes, std::int64_t at) {
    SCOPED_TRACE(sizes.string() + ", from element " + std::to_string(at) + " in " + std::string(name_of(precision)));
    const auto rounded = [precision](Values values) {
      if (precision != Precision::bf16) return values;
      for (double& value : values) value = to_float(to_bf16(static_cast<float>(value)));
      return values;
    };
    Data data = whole_numbers(sizes);
    // Seven bits, whose sums bf16 must round, by more than they differ: some become equal.
    data.x = random_data(sizes).x;
    for (float& value : data.x) value = std::round(100 * value);
    const Results actual = backward_in(precision, data, at, device());
    const Values conv = rounded(reference::conv2d(sizes.conv(), widen(data.x), widen(data.weight), widen(data.bias)));
    const auto [y, argmax] = reference::max_pool2d(sizes.pool(), reference::relu(conv));
    expect_close(actual.y, y, kSameValue);
    for (std::size_t e = 0; e < y.size(); ++e) ASSERT_EQ(actual.argmax[e], y[e] > 0 ? argmax[e] : kNoWinner) << e;
    const reference::Conv2dGradients expected = reference_backward(data, actual.argmax);
    expect_close(actual.dweight, expected.dweight, kSameValue);
    if (sizes.bias) expect_close(actual.dbias, expected.dbias, kSameValue);
    expect_close(actual.dx, rounded(expected.dx), kSameValue);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, Conv2dReluPoolGpuTest, testing::Values(Device::cuda()), device_name);

TEST_P(Conv2dReluPoolGpuTest, EqualsTheReference) {
  for (const Sizes& sizes : kSizes) {
    for (const int at : {0, 1}) expect_reference(random_data(sizes), at);
  }
}

TEST_P(Conv2dReluPoolGpuTest, OfEqualsChoosesWhatTheReferenceDoes) {
  for (const Sizes& sizes : kSizes) {
    SCOPED_TRACE(sizes.string());
    const Data data = whole_numbers(sizes);
    const Results actual = compute(data, 0, device());
    const Forward expected = reference_forward(data);
    expect_close(actual.y, expected.y, kSameValue);
    EXPECT_EQ(actual.argmax, expected.argmax);
    expect_gradients(actual, reference_backward(data, expected.argmax), kSameValue);
  }
}

TEST_P(Conv2dReluPoolGpuTest, ServesManySizesAndManyMoreDo) {
  std::mt19937 random(18);
  const auto draw = [&](int first, int last) { return std::int64_t{std::uniform_int_distribution(first, last)(random)}; };
  constexpr std::int64_t kMaxProducts = 250'000;
  for (int drawn = 0; drawn < 300;) {
    const Sizes sizes{draw(1, 9), draw(1, 70), draw(2, 67), draw(2, 67), draw(1, 70), draw(0, 3) > 0};
    if (sizes.N * sizes.C * sizes.H * sizes.W * sizes.K > kMaxProducts) continue;
    expect_reference(random_data(sizes), 0);
    expect_exactly(drawn % 2 == 0 ? Precision::tf32 : Precision::bf16, sizes, 0);
    ++drawn;
  }
}

TEST_P(Conv2dReluPoolGpuTest, GivesTheSameYWithoutArgmax) {
  for (const Sizes& sizes : kSizes) {
    SCOPED_TRACE(sizes.string());
    Problem problem(random_data(sizes), 0, device());
    problem.forward();
    const std::vector<float> expected = problem.y.tensor.to_vector<float>();
    problem.argmax.tensor = Tensor{};
    problem.y.tensor.copy_from(Tensor::full(sizes.y(), kNan));
    problem.forward();
    EXPECT_EQ(problem.y.tensor.to_vector<float>(), expected);
  }
}

TEST_P(Conv2dReluPoolGpuTest, TakesFlatTensors) {
  for (const Sizes& sizes : kSizes) {
    SCOPED_TRACE(sizes.string());
    const Data data = random_data(sizes);
    const Results expected = compute(data, 0, device());
    Problem flat(data, 0, device());
    const Shape shape{sizes.N, sizes.y().numel() / sizes.N};
    // A flat tensor has the logical order of values, as to_vector has.
    flat.y = Fenced(shape, 0, DType::f32, device());
    flat.dy = Fenced(data.dy, shape, 0, device());
    flat.forward();
    flat.backward();
    EXPECT_EQ(flat.results().all(), expected.all());
  }
}

TEST_P(Conv2dReluPoolGpuTest, AddsToGradientsWhereAskedAndLeavesOutWhatIsNotWanted) {
  for (const Sizes& sizes : {Sizes{3, 5, 7, 5, 17}, Sizes{2, 3, 16, 16, 16}, Sizes{1, 20, 18, 16, 40}}) {
    SCOPED_TRACE(sizes.string());
    const Data data = whole_numbers(sizes);
    const Results once = compute(data, 0, device());
    Problem problem(data, 0, device());
    problem.forward();
    problem.dweight.tensor.copy_from(Tensor::full(sizes.weight(), 7));
    problem.dbias.tensor.copy_from(Tensor::full({sizes.K}, 9));
    problem.dx = Fenced();
    problem.backward({.dweight = true, .dbias = true});
    const Results actual = problem.results();
    Values dweight = widen(once.dweight), dbias = widen(once.dbias);
    for (double& value : dweight) value += 7;
    for (double& value : dbias) value += 9;
    expect_close(actual.dweight, dweight, kSameValue);
    expect_close(actual.dbias, dbias, kSameValue);
    EXPECT_TRUE(actual.dx.empty());

    problem.dbias = Fenced();
    problem.backward({});
    EXPECT_EQ(problem.results().dweight, once.dweight);
  }
}

TEST_P(Conv2dReluPoolGpuTest, LetsNanWin) {
  const Sizes sizes{1, 2, 6, 6, 3};
  Data data = random_data(sizes);
  data.x[7] = kNan;  // of the first channel: the pixel (1, 1), which four windows' patches have
  const Results actual = compute(data, 0, device());
  const Forward expected = reference_forward(data);
  EXPECT_EQ(actual.argmax, expected.argmax);
  expect_close(actual.y, expected.y, kSum);
  EXPECT_THAT(actual.y, testing::Contains(testing::IsNan()));
}

TEST_P(Conv2dReluPoolGpuTest, MakesNanOfThePaddingUnderAnInfiniteWeight) {
  const Sizes sizes{1, 1, 4, 4, 1, false};
  Data data = random_data(sizes);
  for (float& value : data.x) value = 1;
  for (float& value : data.weight) value = 1;
  data.weight[0] = kInfinity;  // meets the padding in the first row and column
  const std::vector<float> y = compute(data, 0, device()).y;
  EXPECT_TRUE(std::isnan(y[0]));
  EXPECT_EQ(y[3], kInfinity);
}

TEST_P(Conv2dReluPoolGpuTest, RunsAChainConvolutionByConvolution) {
  const Sizes first{3, 3, 16, 18, 5}, second{3, 5, 8, 9, 7};
  const Data data = random_data(first), behind = random_data(second);
  Problem alone(data, 0, device()), last(behind, 0, device());
  alone.forward();
  last.x.tensor = alone.y.tensor;
  last.forward();
  last.backward();
  alone.dy.tensor = last.dx.tensor;
  alone.backward();

  Problem head(data, 0, device()), tail(behind, 0, device());
  tail.x.tensor = conv2d_relu_pool_memory(second.x(), device());
  Conv2dReluPool chain[] = {head.operands(), tail.operands()};
  Stream stream(device());
  conv2d_relu_pool(chain, tail.y.tensor, stream);
  Conv2dReluPoolGradients gradients[] = {{head.dweight.tensor, head.dbias.tensor}, {tail.dweight.tensor, tail.dbias.tensor}};
  conv2d_relu_pool_backward(chain, tail.dy.tensor, gradients, head.dx.tensor, stream);
  EXPECT_EQ(tail.y.tensor.to_vector<float>(), last.y.tensor.to_vector<float>());
  EXPECT_EQ(head.dx.tensor.to_vector<float>(), alone.dx.tensor.to_vector<float>());
  EXPECT_EQ(head.dweight.tensor.to_vector<float>(), alone.dweight.tensor.to_vector<float>());
  EXPECT_EQ(tail.dbias.tensor.to_vector<float>(), last.dbias.tensor.to_vector<float>());
}

TEST_P(Conv2dReluPoolGpuTest, OnTensorCoresMultipliesExactlyWhatTheyHold) {
  for (const Precision precision : {Precision::tf32, Precision::bf16}) {
    for (const Sizes& sizes : kSizes) {
      for (const int at : {0, 1}) expect_exactly(precision, sizes, at);
    }
  }
}

// Short, for ThreadSanitizer.
TEST_P(Conv2dReluPoolGpuTest, OnTensorCoresServesSeveralBlocks) {
  for (const Precision precision : {Precision::tf32, Precision::bf16}) {
    expect_exactly(precision, {2, 20, 10, 18, 36}, 0);
    expect_exactly(precision, {3, 3, 18, 6, 5}, 0);
  }
}

TEST_P(Conv2dReluPoolGpuTest, InTf32RoundsFactorsToTenBits) {
  for (const Sizes& sizes : {Sizes{2, 20, 16, 18, 40}, Sizes{2, 3, 16, 18, 20}}) {
    SCOPED_TRACE(sizes.string());
    const Data data = random_data(sizes);
    const Results actual = backward_in(Precision::tf32, data, 0, device()), in_fp32 = compute(data, 0, device());
    expect_close(actual.y, reference_forward(data).y, {.relative = 2e-3, .of_largest = 2e-3});
    EXPECT_THAT(actual.y, testing::Not(testing::ElementsAreArray(in_fp32.y)));
    const reference::Conv2dGradients expected = reference_backward(data, actual.argmax);
    expect_close(actual.dweight, expected.dweight, kTf32);
    EXPECT_THAT(actual.dweight, testing::Not(testing::ElementsAreArray(in_fp32.dweight)));
    expect_close(actual.dbias, expected.dbias, kSum);  // dy is not rounded there
  }
}

TEST_P(Conv2dReluPoolGpuTest, InBf16AddsInF32) {
  for (const Sizes& sizes : {Sizes{2, 20, 16, 18, 40}, Sizes{40, 9, 16, 16, 8}, Sizes{40, 3, 16, 16, 20}}) {
    SCOPED_TRACE(sizes.string());
    Data data = random_data(sizes);
    for (std::vector<float>* values : {&data.x, &data.weight, &data.bias, &data.dy}) *values = rounded_to_bf16(*values);
    const Results actual = backward_in(Precision::bf16, data, 0, device());
    const reference::Conv2dGradients expected = reference_backward(data, actual.argmax);
    expect_close(actual.dweight, expected.dweight, kVendorSum);
    expect_close(actual.dbias, expected.dbias, kVendorSum);
  }
}

TEST_P(Conv2dReluPoolGpuTest, OnTensorCoresTakesFlatTensorsAndGivesTheSameBitsAgain) {
  for (const Precision precision : {Precision::tf32, Precision::bf16}) {
    for (const Sizes& sizes : {Sizes{2, 3, 16, 18, 16}, Sizes{2, 16, 16, 16, 32}, Sizes{3, 5, 7, 5, 17}}) {
      SCOPED_TRACE(sizes.string() + " in " + std::string(name_of(precision)));
      const Data data = random_data(sizes);
      const std::vector<float> expected = backward_in(precision, data, 0, device()).all();
      EXPECT_EQ(backward_in(precision, data, 0, device()).all(), expected);
      EXPECT_EQ(backward_in(precision, data, 0, device(), true).all(), expected);
    }
  }
}

TEST_P(Conv2dReluPoolGpuTest, TakesNanGradientsOfWinnersAlone) {
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    for (const std::int64_t C : {3, 8}) {
      const Sizes sizes{1, C, 4, 4, 3};
      SCOPED_TRACE(sizes.string() + " in " + std::string(name_of(precision)));
      Data data = random_data(sizes);
      std::vector<std::uint8_t> winners(12, 1);  // of three outputs with four windows each
      data.dy[0] = kNan;                         // the first output's
      data.dy[7] = kNan;                         // the second one's
      winners[7] = kNoWinner;
      const Results actual = backward_in(precision, data, 0, device(), false, winners);
      const std::int64_t each = 9 * C;
      for (std::int64_t e = 0; e < 3 * each; ++e) {
        EXPECT_EQ(std::isnan(actual.dweight[static_cast<std::size_t>(e)]), e < each) << e;
      }
      EXPECT_THAT(actual.dbias,
                  testing::ElementsAre(testing::IsNan(), testing::Not(testing::IsNan()), testing::Not(testing::IsNan())));
    }
  }
}

TEST_P(Conv2dReluPoolGpuTest, MultipliesZerosBesideWinnersOnTensorCoresOnly) {
  const std::vector<std::uint8_t> winners{0, kNoWinner, kNoWinner, kNoWinner, 0, kNoWinner, kNoWinner, kNoWinner};
  for (const std::int64_t C : {3, 8}) {
    const Sizes sizes{1, C, 4, 4, 2};
    Data data = whole_numbers(sizes);
    data.x[2 * 16 + 15] = kInfinity;  // the last pixel of channel 2, far from any winner
    const std::vector<float> in_fp32 = backward_in(Precision::fp32, data, 0, device(), false, winners).dweight;
    EXPECT_THAT(in_fp32, testing::Each(testing::Not(testing::IsNan())));
    for (const Precision precision : {Precision::tf32, Precision::bf16}) {
      SCOPED_TRACE(sizes.string() + " in " + std::string(name_of(precision)));
      const std::vector<float> actual = backward_in(precision, data, 0, device(), false, winners).dweight;
      for (std::size_t e = 0; e < actual.size(); ++e) {
        if (e / 9 % static_cast<std::size_t>(C) == 2) {
          EXPECT_TRUE(std::isnan(actual[e])) << e;
        } else {
          EXPECT_EQ(actual[e], in_fp32[e]) << e;
        }
      }
    }
  }
}

TEST_P(Conv2dReluPoolGpuTest, InBf16RoundsWeightAndBiasAsACopyWould) {
  for (const Sizes& sizes : kSizes) {
    for (const int at : {0, 1}) {
      SCOPED_TRACE(sizes.string() + ", from element " + std::to_string(at));
      const Data data = random_data(sizes);
      Data copied = data;
      copied.weight = rounded_to_bf16(data.weight);
      copied.bias = rounded_to_bf16(data.bias);
      ASSERT_NE(copied.weight, data.weight);
      EXPECT_EQ(backward_in(Precision::bf16, data, at, device()).all(), backward_in(Precision::bf16, copied, at, device()).all());
    }
  }
}

TEST_P(Conv2dReluPoolGpuTest, RefusesWeightsInBf16) {
  const Data data = random_data({2, 3, 16, 16, 4});
  const Rounded rounded{DType::bf16, 0, stream()}, full{DType::f32, 0, stream()};
  Tensor y = rounded.empty(data.sizes.y());
  const auto with = [&](const Tensor& weight, const Tensor& bias) {
    Conv2dReluPool conv{.weight = weight, .bias = bias, .x = rounded(data.x, data.sizes.x()), .precision = Precision::bf16};
    conv2d_relu_pool({&conv, 1}, y, stream());
  };
  const Tensor weight = full(data.weight, data.sizes.weight()), bias = full(data.bias, {data.sizes.K});
  EXPECT_THAT([&] { with(rounded(data.weight, data.sizes.weight()), bias); }, misuse("weight must be f32, got bf16"));
  EXPECT_THAT([&] { with(weight, rounded(data.bias, {data.sizes.K})); }, misuse("bias must be f32, got bf16"));
  with(weight, bias);
}

TEST_P(Conv2dReluPoolGpuTest, PaysWhereTilesAreHalfFull) {
  EXPECT_TRUE(conv2d_relu_pool_pays({1, 3, 32, 32}, 16, device()));
  EXPECT_TRUE(conv2d_relu_pool_pays({1, 3, 16, 17}, 16, device()));
  EXPECT_FALSE(conv2d_relu_pool_pays({1, 3, 8, 8}, 16, device()));
  EXPECT_TRUE(conv2d_relu_pool_pays({1, 3, 8, 8}, 16, Device::cpu()));
}

}  // namespace
}  // namespace gpucnn::kernels
