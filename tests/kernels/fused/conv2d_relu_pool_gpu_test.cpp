#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conv2d_relu_pool_problem.h"
#include "device_test.h"

// What conv2d_relu_pool_test.cpp holds the CPU's chain to, of the kernels of a GPU.
namespace gpucnn::kernels {
namespace {

const Sizes kSizes[] = {
    {1, 1, 2, 2, 1},         {3, 3, 3, 2, 5},          {2, 3, 32, 32, 16},         {2, 16, 16, 16, 32}, {1, 5, 7, 5, 17},
    {17, 3, 7, 5, 3, false}, {3, 4, 17, 18, 16},       {3, 16, 16, 16, 33, false}, {3, 17, 5, 33, 5},   {1, 33, 6, 33, 65},
    {17, 1, 6, 7, 70},       {3, 70, 2, 3, 65, false}, {1, 8, 33, 20, 12},
};

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
  constexpr std::int64_t kMaxProducts = 500'000;
  for (int drawn = 0; drawn < 300;) {
    const Sizes sizes{draw(1, 9), draw(1, 70), draw(2, 67), draw(2, 67), draw(1, 70), draw(0, 3) > 0};
    if (sizes.N * sizes.C * sizes.H * sizes.W * sizes.K > kMaxProducts) continue;
    expect_reference(random_data(sizes), 0);
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

TEST_P(Conv2dReluPoolGpuTest, PaysWhereTilesAreHalfFull) {
  EXPECT_TRUE(conv2d_relu_pool_pays({1, 3, 32, 32}, device()));
  EXPECT_TRUE(conv2d_relu_pool_pays({1, 3, 16, 17}, device()));
  EXPECT_FALSE(conv2d_relu_pool_pays({1, 3, 8, 8}, device()));
  EXPECT_TRUE(conv2d_relu_pool_pays({1, 3, 8, 8}, Device::cpu()));
}

}  // namespace
}  // namespace gpucnn::kernels
