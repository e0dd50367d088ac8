#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conv2d_relu_pool_problem.h"
#include "everywhere.h"

namespace gpucnn::kernels {
namespace {

// ---- which layers ---------------------------------------------------------------------------------------------------------------

TEST(Conv2dReluPoolServes, OneKindOfWindow) {
  constexpr Conv2dOptions kConv{.kernel_size = 3, .padding = 1};
  constexpr Pool2d kPool{.kernel_size = 2, .stride = 2};
  EXPECT_TRUE(conv2d_relu_pool_serves(kConv, kPool));
  EXPECT_TRUE(conv2d_relu_pool_serves({.kernel_size = 3, .padding = 1, .bias = false}, kPool));
  for (const Size2 other : {Size2{3, 5}, Size2{1, 3}, Size2(5)})
    EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = other, .padding = 1}, kPool));
  for (const Size2 other : {Size2{1, 2}, Size2{2, 1}, Size2(2)}) {
    EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = 3, .stride = other, .padding = 1}, kPool));
    EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = 3, .padding = other}, kPool));
    EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = 3, .padding = 1, .dilation = other}, kPool));
  }
  EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = 3}, kPool));
  EXPECT_FALSE(conv2d_relu_pool_serves({.kernel_size = 3, .padding = 1, .groups = 2}, kPool));
  for (const Size2 other : {Size2{2, 3}, Size2{1, 2}, Size2(3)}) {
    EXPECT_FALSE(conv2d_relu_pool_serves(kConv, {.kernel_size = other, .stride = 2}));
    EXPECT_FALSE(conv2d_relu_pool_serves(kConv, {.kernel_size = 2, .stride = other}));
  }
  for (const Size2 other : {Size2{0, 1}, Size2{1, 0}, Size2(1)})
    EXPECT_FALSE(conv2d_relu_pool_serves(kConv, {.kernel_size = 2, .stride = 2, .padding = other}));
}

// ---- against the reference ------------------------------------------------------------------------------------------------------

const Sizes kSizes[] = {
    {1, 1, 2, 2, 1},          {3, 3, 3, 2, 5},    {1, 5, 7, 5, 17},
    {17, 3, 7, 5, 3, false},  {17, 5, 9, 13, 16}, {3, 16, 16, 16, 33, false},
    {3, 17, 5, 33, 5},        {1, 33, 6, 33, 65}, {17, 1, 6, 7, 70},
    {3, 70, 2, 3, 65, false}, {1, 3, 70, 64, 16},  // several bands of many rows
    {3, 17, 41, 33, 1},                            // the last lower than the others
    {1, 65, 20, 30, 70},                           // of one row each
    {3, 65, 7, 29, 3, false}, {1, 32, 21, 15, 5},  // bands of windows that are computed whole
    {1, 16, 70, 34, 70},                           // the same for more channels than a word has bits
};

TEST(Conv2dReluPool, EqualsTheReference) {
  for (const Sizes& sizes : kSizes) {
    const Data data = random_data(sizes);
    const Forward expected = reference_forward(data);
    std::vector<std::uint8_t> argmax = expected.argmax;
    reference::Conv2dGradients gradients = reference_backward(data, argmax);
    for (const int at : {0, 1}) {
      SCOPED_TRACE(sizes.string() + ", from element " + std::to_string(at));
      everywhere(Device::cpu(), [&] {
        const Results actual = compute(data, at);
        expect_close(actual.y, expected.y, kSum);
        // Where two are as large up to rounding, either may win.
        expect_close(at_argmax(sizes, expected.activations, actual.argmax), expected.y, kSum);
        if (actual.argmax != argmax) gradients = reference_backward(data, argmax = actual.argmax);
        expect_gradients(actual, gradients, kSum);
        return actual.all();
      });
    }
  }
}

/// Expects the reference's numbers from every instruction set, where f32 has them exactly.
void expect_exactly(const Data& data) {
  SCOPED_TRACE(data.sizes.string());
  const Forward expected = reference_forward(data);
  const reference::Conv2dGradients gradients = reference_backward(data, expected.argmax);
  for (const std::int64_t target : ForcedInstructionSet::all()) {
    SCOPED_TRACE(hwy::TargetName(target));
    const ForcedInstructionSet forced(target);
    const Results actual = compute(data);
    expect_close(actual.y, expected.y, kSameValue);
    EXPECT_EQ(actual.argmax, expected.argmax);
    expect_gradients(actual, gradients, kSameValue);
  }
}

TEST(Conv2dReluPool, OfEqualsChoosesWhatTheReferenceDoes) {
  for (const Sizes& sizes : kSizes) expect_exactly(whole_numbers(sizes));
}

TEST(Conv2dReluPool, ServesEveryWidthAndHeight) {
  for (std::int64_t size = 2; size < 30; ++size) {
    for (const std::int64_t K : {3, 24}) {
      for (const std::int64_t C : {2, 9}) {
        expect_exactly(whole_numbers({2, C, 3, size, K}));
        expect_exactly(whole_numbers({2, C, size, 3, K}));
      }
    }
  }
}

TEST(Conv2dReluPool, ServesEveryNumberOfChannels) {
  for (std::int64_t channels = 1; channels < 72; ++channels) {
    expect_exactly(whole_numbers({2, channels, 5, 4, 3}));
    expect_exactly(whole_numbers({2, 3, 5, 4, channels}));
  }
}

TEST(Conv2dReluPool, GivesTheSameYWithoutArgmax) {
  for (const Sizes& sizes : kSizes) {
    SCOPED_TRACE(sizes.string());
    everywhere(Device::cpu(), [&] {
      Problem problem(random_data(sizes));
      problem.forward();
      const std::vector<float> expected = problem.results().y;
      problem.argmax.tensor = Tensor{};
      problem.y.tensor.copy_from(Tensor::full(sizes.y(), kNan));
      problem.forward();
      EXPECT_TRUE(problem.y.holds());
      EXPECT_EQ(problem.y.tensor.to_vector<float>(), expected);
      return expected;
    });
  }
}

TEST(Conv2dReluPool, TakesPartOfABatch) {
  for (const std::int64_t C : kFewAndManyChannels) {
    const Sizes sizes{7, C, 7, 5, 5}, middle{3, C, 7, 5, 5};
    SCOPED_TRACE(sizes.string());
    Problem whole(random_data(sizes)), part(random_data(middle));
    whole.forward();
    whole.backward();
    part.x.tensor = whole.x.tensor.narrow(2, 3);
    part.dy.tensor = whole.dy.tensor.narrow(2, 3);
    Tensor y = whole.y.tensor.clone(), argmax = whole.argmax.tensor.clone(), dx = whole.dx.tensor.clone();
    for (Tensor* tensor : {&y, &argmax, &dx}) std::memset(tensor->bytes(), 0xFF, tensor->nbytes());
    part.y.tensor = y.narrow(2, 3);
    part.argmax.tensor = argmax.narrow(2, 3);
    part.dx.tensor = dx.narrow(2, 3);
    part.forward();
    part.backward();
    EXPECT_EQ(part.y.tensor.to_vector<float>(), whole.y.tensor.narrow(2, 3).to_vector<float>());
    EXPECT_EQ(part.argmax.tensor.to_vector<std::uint8_t>(), whole.argmax.tensor.narrow(2, 3).to_vector<std::uint8_t>());
    EXPECT_EQ(part.dx.tensor.to_vector<float>(), whole.dx.tensor.narrow(2, 3).to_vector<float>());
    for (const std::int64_t other : {0, 1, 5, 6}) {
      EXPECT_THAT(y.narrow(other, 1).to_vector<float>(), testing::Each(testing::IsNan()));
      EXPECT_THAT(dx.narrow(other, 1).to_vector<float>(), testing::Each(testing::IsNan()));
      EXPECT_THAT(argmax.narrow(other, 1).to_vector<std::uint8_t>(), testing::Each(0xFF));
    }
  }
}

// ---- where gradients go ---------------------------------------------------------------------------------------------------------

TEST(Conv2dReluPool, AddsToGradientsWhereAskedAndOverwritesElsewhere) {
  for (const Sizes& sizes : {Sizes{3, 5, 7, 5, 17}, Sizes{35, 3, 4, 4, 70}, Sizes{1, 65, 20, 30, 3}}) {
    SCOPED_TRACE(sizes.string());
    const Data data = whole_numbers(sizes);
    everywhere(Device::cpu(), [&] {
      const Results once = compute(data);
      for (const bool add_weight : {false, true}) {
        for (const bool add_bias : {false, true}) {
          Problem problem(data);
          problem.forward();
          if (add_weight) problem.dweight.tensor.copy_from(Tensor::full(sizes.weight(), 7));
          if (add_bias) problem.dbias.tensor.copy_from(Tensor::full({sizes.K}, 9));
          problem.backward({.dweight = add_weight, .dbias = add_bias});
          const Results actual = problem.results();
          Values dweight = widen(once.dweight), dbias = widen(once.dbias);
          for (double& value : dweight) value += add_weight ? 7 : 0;
          for (double& value : dbias) value += add_bias ? 9 : 0;
          expect_close(actual.dweight, dweight, kSameValue);
          expect_close(actual.dbias, dbias, kSameValue);
          EXPECT_EQ(actual.dx, once.dx);
        }
      }
      return once.all();
    });
  }
}

TEST(Conv2dReluPool, GivesTheSameGradientsWhereOthersAreNotWanted) {
  for (const Sizes& sizes :
       {Sizes{3, 5, 7, 5, 17}, Sizes{1, 65, 20, 30, 70}, Sizes{3, 1, 7, 5, 16}, Sizes{2, 2, 90, 70, 33}, Sizes{17, 3, 6, 9, 5}}) {
    SCOPED_TRACE(sizes.string());
    const Data data = random_data(sizes);
    everywhere(Device::cpu(), [&] {
      const Results all = compute(data);
      for (const auto& [want_bias, want_dx] : {std::pair{false, true}, {true, false}, {false, false}}) {
        Problem problem(data);
        problem.forward();
        if (!want_bias) problem.dbias = Fenced();
        if (!want_dx) problem.dx = Fenced();
        problem.backward({.dweight = false, .dbias = false});
        const Results some = problem.results();
        EXPECT_EQ(some.dweight, all.dweight);
        EXPECT_EQ(some.dbias, want_bias ? all.dbias : std::vector<float>());
        EXPECT_EQ(some.dx, want_dx ? all.dx : std::vector<float>());
      }
      return all.all();
    });
  }
}

TEST(Conv2dReluPool, SeesWeightsAndBiasesThatHaveChanged) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    const Sizes sizes{2, C, 6, 8, 5};
    Data data = random_data(sizes);
    Problem problem(data);
    const auto expect_fresh = [&] {
      problem.forward();
      EXPECT_EQ(problem.y.tensor.to_vector<float>(), compute(data).y);
    };
    expect_fresh();
    expect_fresh();  // nothing has changed
    data.weight.back() += 0.5F;
    problem.weight.tensor.copy_from(Tensor::from(data.weight, sizes.weight()));
    expect_fresh();
    data.bias.front() += 0.5F;
    problem.bias.tensor.copy_from(Tensor::from(data.bias, {sizes.K}));
    expect_fresh();
    problem.bias.tensor = Tensor();
    problem.forward();
    data.bias.assign(data.bias.size(), 0);
    EXPECT_EQ(problem.y.tensor.to_vector<float>(), compute(data).y);
  }
}

TEST(Conv2dReluPool, KeptForOneConvolutionServesAnother) {
  Conv2dReluPoolWeights kept;
  Stream stream;
  for (const Sizes& sizes : {Sizes{1, 3, 6, 8, 5}, Sizes{2, 20, 5, 4, 33}, Sizes{1, 3, 6, 8, 6}}) {
    SCOPED_TRACE(sizes.string());
    const Data data = random_data(sizes);
    Problem problem(data);
    Conv2dReluPool convolution = problem.operands();
    convolution.kept = &kept;
    conv2d_relu_pool({&convolution, 1}, problem.y.tensor, stream);
    EXPECT_EQ(problem.y.tensor.to_vector<float>(), compute(data).y);
  }
}

TEST(Conv2dReluPool, AnEnormousNumberOutOfReachChangesNothing) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    // Each output is four times the pixel above and to the left of it: the last pixel is nobody's.
    Data data{{1, C, 4, 4, 1}, std::vector<float>(static_cast<std::size_t>(16 * C), 1), {}, {0}, {1, 1, 1, 1}};
    data.weight.assign(static_cast<std::size_t>(9 * C), 0);
    for (std::size_t c = 0; c < static_cast<std::size_t>(C); ++c) data.weight[9 * c] = 4;
    for (const float enormous : {1e38F, std::numeric_limits<float>::max()}) {
      for (std::size_t c = 0; c < static_cast<std::size_t>(C); ++c) data.x[16 * c + 15] = enormous;
      everywhere(Device::cpu(), [&] {
        const Results actual = compute(data);
        EXPECT_THAT(actual.y, testing::Each(4 * static_cast<float>(C)));
        return actual.all();
      });
    }
  }
}

TEST(Conv2dReluPool, OfNoImagesHasZeroGradients) {
  for (const std::int64_t K : {1, 17}) {
    const Data data = random_data({0, 3, 7, 5, K});
    const Results nothing = compute(data);
    EXPECT_TRUE(nothing.y.empty());
    EXPECT_TRUE(nothing.dx.empty());
    EXPECT_THAT(nothing.dweight, testing::Each(0.0F));
    EXPECT_THAT(nothing.dbias, testing::Each(0.0F));
    Problem added(data);
    for (Fenced* fenced : {&added.dweight, &added.dbias}) fenced->tensor.copy_from(Tensor::full(fenced->tensor.shape(), 7));
    added.backward({.dweight = true, .dbias = true});
    EXPECT_THAT(added.results().dweight, testing::Each(7.0F));
    EXPECT_THAT(added.results().dbias, testing::Each(7.0F));
  }
}

TEST(Conv2dReluPoolOnTheCpu, PaysForFewWeightsAndWhereWinogradDoesNot) {
  EXPECT_TRUE(conv2d_relu_pool_pays({128, 64, 16, 16}, 128, Device::cpu()));
  EXPECT_FALSE(conv2d_relu_pool_pays({128, 64, 16, 16}, 129, Device::cpu()));
  EXPECT_TRUE(conv2d_relu_pool_pays({128, 15, 16, 16}, 1024, Device::cpu()));
}

}  // namespace
}  // namespace gpucnn::kernels
