#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/bf16.h>

#include "conv2d_relu_pool_problem.h"
#include "everywhere.h"
#include "misuse.h"
#include "pretended_bf16.h"

// Several convolutions in one pass, against each in a pass of its own, which the reference has checked.
namespace gpucnn::kernels {
namespace {

/// The problems of the convolutions, of which each but the first takes its x from the one before and gives it its dy.
std::vector<Data> chain_of(Sizes sizes, const std::vector<std::int64_t>& channels) {
  std::vector<Data> chain;
  for (const std::int64_t K : channels) {
    sizes.K = K;
    chain.push_back(random_data(sizes));
    for (float& value : chain.back().bias) value += 0.5F;  // so that most windows have a winner
    const Shape y = sizes.y();
    sizes = {y[0], y[1], y[2], y[3], 0, !sizes.bias};
  }
  return chain;
}

struct Case {
  Sizes first;
  std::vector<std::int64_t> channels;

  std::vector<Data> data() const { return chain_of(first, channels); }
  std::string string() const { return first.x().string() + " to " + testing::PrintToString(channels) + " channels"; }
};

const Case kCases[] = {
    {{1, 3, 7, 5, 0}, {5, 17}},
    {{3, 3, 15, 13, 0}, {33, 17, 5}},
    {{3, 17, 14, 18, 0, false}, {16, 33}},
    {{17, 1, 9, 21, 0}, {70, 3}},
    {{1, 3, 32, 32, 0}, {16, 32}},  // few images: in pieces
    {{3, 5, 42, 38, 0}, {17, 16, 32}},
    {{2, 16, 70, 66, 0}, {8, 9}},  // in bands
    {{1, 2, 256, 258, 0}, {1, 2, 3, 9, 8, 5, 3, 2}},
};

/// The results of the convolutions, the first's first.
using ChainResults = std::vector<Results>;

std::vector<float> all_of(const ChainResults& results) {
  std::vector<float> all;
  for (const Results& of_one : results) {
    const std::vector<float> more = of_one.all();
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

Tensor unchanged(const Tensor& tensor) { return tensor; }

/// Each convolution in a pass of its own. `handed_on`: what becomes of activations and their gradients in between.
ChainResults one_by_one(const std::vector<Data>& chain, Tensor (*handed_on)(const Tensor&) = unchanged) {
  std::vector<Problem> problems(chain.begin(), chain.end());
  for (std::size_t c = 0; c < problems.size(); ++c) {
    if (c > 0) problems[c].x.tensor.copy_from(handed_on(problems[c - 1].y.tensor));
    problems[c].forward();
  }
  for (std::size_t c = problems.size(); c-- > 0;) {
    if (c + 1 < problems.size()) problems[c].dy.tensor.copy_from(handed_on(problems[c + 1].dx.tensor));
    problems[c].backward();
  }
  ChainResults results;
  for (const Problem& problem : problems) results.push_back(problem.results());
  return results;
}

/// The problems of a chain, solved in one pass.
struct Together {
  explicit Together(const std::vector<Data>& chain) : problems(chain.begin(), chain.end()) {
    for (Problem& problem : problems) {
      convolutions.push_back(problem.operands());
      if (convolutions.size() > 1) convolutions.back().x = conv2d_relu_pool_memory(problem.sizes.x(), Device::cpu());
      gradients.push_back({problem.dweight.tensor, problem.dbias.tensor, {}});
    }
  }

  Problem& first() { return problems.front(); }
  Problem& last() { return problems.back(); }
  void without_backward() {
    for (Conv2dReluPool& convolution : convolutions) convolution.argmax = Tensor();
    for (std::size_t c = 1; c < convolutions.size(); ++c) convolutions[c].x = Tensor();
  }
  void forward() { conv2d_relu_pool(convolutions, last().y.tensor, first().stream); }
  void backward() { conv2d_relu_pool_backward(convolutions, last().dy.tensor, gradients, first().dx.tensor, first().stream); }
  /// Those that the pass has: y of the last alone, dx of the first.
  ChainResults results() const {
    ChainResults results;
    for (const Problem& problem : problems) results.push_back(problem.results());
    return results;
  }

  std::vector<Problem> problems;
  std::vector<Conv2dReluPool> convolutions;
  std::vector<Conv2dReluPoolGradients> gradients;
};

void expect_same(const ChainResults& actual, const ChainResults& expected, bool want_dx) {
  EXPECT_EQ(actual.back().y, expected.back().y);
  if (want_dx) {
    EXPECT_EQ(actual.front().dx, expected.front().dx);
  }
  for (std::size_t c = 0; c < expected.size(); ++c) {
    SCOPED_TRACE("convolution " + std::to_string(c));
    EXPECT_EQ(actual[c].argmax, expected[c].argmax);
    EXPECT_EQ(actual[c].dweight, expected[c].dweight);
    EXPECT_EQ(actual[c].dbias, expected[c].dbias);
  }
}

TEST(Conv2dReluPoolChain, GivesWhatItsConvolutionsGiveOneByOne) {
  for (const Case& chosen : kCases) {
    SCOPED_TRACE(chosen.string());
    const std::vector<Data> chain = chosen.data();
    everywhere(Device::cpu(), [&] {
      const ChainResults expected = one_by_one(chain);
      for (const bool want_dx : {true, false}) {
        Together together(chain);
        if (!want_dx) together.first().dx = Fenced();
        together.forward();
        together.backward();
        expect_same(together.results(), expected, want_dx);
      }
      return all_of(expected);
    });
  }
}

TEST(Conv2dReluPoolChain, GivesTheSameYWithoutABackward) {
  for (const Case& chosen : kCases) {
    SCOPED_TRACE(chosen.string());
    const std::vector<Data> chain = chosen.data();
    everywhere(Device::cpu(), [&] {
      const std::vector<float> expected = one_by_one(chain).back().y;
      Together together(chain);
      together.without_backward();
      for (int call = 0; call < 2; ++call) {  // the second finds its weights laid out
        together.last().y.tensor.copy_from(Tensor::full(together.last().sizes.y(), kNan));
        together.forward();
        EXPECT_EQ(together.results().back().y, expected);
      }
      return expected;
    });
  }
}

std::vector<float> in_bf16(std::vector<float> values) {
  for (float& value : values) value = to_float(to_bf16(value));
  return values;
}

Tensor tensor_in_bf16(const Tensor& tensor) { return Tensor::from(in_bf16(tensor.to_vector<float>()), tensor.shape()); }

TEST(Conv2dReluPoolChain, InBf16MultipliesRoundedNumbers) {
  const PretendedBf16 there;
  for (const Case& chosen : kCases) {
    SCOPED_TRACE(chosen.string());
    const std::vector<Data> chain = chosen.data();
    std::vector<Data> rounded = chain;
    for (Data& data : rounded) {
      for (std::vector<float>* values : {&data.x, &data.weight, &data.bias, &data.dy}) *values = in_bf16(*values);
    }
    const Shape y = chain.back().sizes.y(), flat = {y[0], y[1] * y[2] * y[3]};
    everywhere(Device::cpu(), [&] {
      const ChainResults expected = one_by_one(rounded, tensor_in_bf16);
      for (const bool flattens : {false, true}) {
        Together together(chain);
        for (Conv2dReluPool& convolution : together.convolutions) convolution.precision = Precision::bf16;
        if (flattens) {
          together.last().y = Fenced(flat, 0);
          together.last().dy = Fenced(chain.back().dy, flat, 0);
        }
        together.forward();
        together.backward();
        expect_same(together.results(), expected, true);
        together.without_backward();
        together.forward();
        EXPECT_EQ(together.results().back().y, expected.back().y);
      }
      return all_of(expected);
    });
  }
}

TEST(Conv2dReluPoolChain, KeepsWeightsOfOnePrecision) {
  const PretendedBf16 there;
  const std::vector<Data> chain = kCases[0].data();
  const auto y_in = [](Precision precision, Together& together) {
    for (Conv2dReluPool& convolution : together.convolutions) convolution.precision = precision;
    together.forward();
    return together.results().back().y;
  };
  Together in_fp32(chain), in_bf16(chain), in_turn(chain);
  const std::vector<float> exact = y_in(Precision::fp32, in_fp32), rounded = y_in(Precision::bf16, in_bf16);
  EXPECT_NE(rounded, exact);
  for (int call = 0; call < 2; ++call) {
    EXPECT_EQ(y_in(Precision::fp32, in_turn), exact);
    EXPECT_EQ(y_in(Precision::bf16, in_turn), rounded);
  }
}

TEST(Conv2dReluPoolChain, FlattensWhereYHasTwoDimensions) {
  for (const Case& chosen : kCases) {
    SCOPED_TRACE(chosen.string());
    const std::vector<Data> chain = chosen.data();
    const Shape y = chain.back().sizes.y(), flat = {y[0], y[1] * y[2] * y[3]};
    everywhere(Device::cpu(), [&] {
      const ChainResults expected = one_by_one(chain);
      for (const bool backward : {true, false}) {
        Together together(chain);
        if (!backward) together.without_backward();
        together.last().y = Fenced(flat, 0);
        together.last().dy = Fenced(chain.back().dy, flat, 0);
        together.forward();
        EXPECT_EQ(together.results().back().y, expected.back().y);
        if (!backward) continue;
        together.backward();
        expect_same(together.results(), expected, true);
      }
      return all_of(expected);
    });
  }
}

TEST(Conv2dReluPoolChain, AddsToGradientsWhereAsked) {
  const std::vector<Data> chain = chain_of({3, 3, 12, 10, 0}, {16, 5});
  everywhere(Device::cpu(), [&] {
    const ChainResults once = one_by_one(chain);
    Together together(chain);
    for (std::size_t c = 0; c < chain.size(); ++c) {
      auto& [dweight, dbias, accumulate, may_wait] = together.gradients[c];
      accumulate = {.dweight = c == 0, .dbias = c == 1};
      for (Tensor* tensor : {&dweight, &dbias}) {
        if (tensor->defined()) tensor->copy_from(Tensor::full(tensor->shape(), 7));
      }
    }
    together.forward();
    together.backward();
    const ChainResults actual = together.results();
    const auto more = [](std::vector<float> values) {
      for (float& value : values) value += 7;
      return values;
    };
    EXPECT_EQ(actual[0].dweight, more(once[0].dweight));
    EXPECT_EQ(actual[0].dbias, once[0].dbias);
    EXPECT_EQ(actual[1].dweight, once[1].dweight);
    EXPECT_EQ(actual[1].dbias, std::vector<float>());  // it has no bias
    return all_of(actual);
  });
}

TEST(Conv2dReluPoolChain, WhatIsTooLargeForOneRowChangesNoOther) {
  // Whether a row takes the quick way must not depend on the rows that are computed with it: bands, pieces and images differ.
  for (const Case& chosen : {Case{{1, 9, 32, 32, 0}, {16, 17}}, Case{{3, 8, 38, 20, 0}, {9, 32}}}) {
    SCOPED_TRACE(chosen.string());
    std::vector<Data> chain = chosen.data();
    const std::vector<float> small = one_by_one(chain).back().y;
    chain.front().x[static_cast<std::size_t>(chosen.first.W * 5 + 3)] = 2e38F;
    everywhere(Device::cpu(), [&] {
      const ChainResults expected = one_by_one(chain);
      EXPECT_NE(expected.back().y, small);
      for (const bool backward : {true, false}) {
        Together together(chain);
        if (!backward) together.without_backward();
        together.forward();
        EXPECT_THAT(together.results().back().y, testing::Pointwise(testing::NanSensitiveFloatEq(), expected.back().y));
      }
      return expected.back().argmax;
    });
  }
}

TEST(Conv2dReluPoolChain, OfNoImagesHasZeroGradients) {
  const std::vector<Data> chain = chain_of({0, 3, 12, 10, 0}, {16, 5});
  Together together(chain);
  together.forward();
  together.backward();
  for (const Results& results : together.results()) EXPECT_THAT(results.dweight, testing::Each(0.0F));
}

// ---- what fits a cache ---------------------------------------------------------------------------------------------------------

TEST(Conv2dReluPoolFits, SmallImages) {
  const auto fits = [](const Shape& image, const std::vector<std::int64_t>& channels) {
    return conv2d_relu_pool_fits(image, channels);
  };
  EXPECT_TRUE(fits({3, 32, 32}, {16, 32}));
  EXPECT_FALSE(fits({3, 512, 512}, {16, 32}));
  EXPECT_FALSE(fits({3, 32, 32}, {16, 1 << 20}));
  EXPECT_TRUE(fits({3, 7, 5}, {16, 32}));
  EXPECT_FALSE(fits({3, 7, 5}, {16, 32, 8}));  // 1x1 is left for the last
}

// ---- misuse --------------------------------------------------------------------------------------------------------------------

TEST(Conv2dReluPoolChain, RefusesWhatDoesNotFitTogether) {
  const std::vector<Data> chain = chain_of({2, 3, 8, 8, 0}, {4, 5});
  std::optional<Together> chosen;
  const auto with = [&](auto change) {
    chosen.emplace(chain);
    chosen->forward();
    change(*chosen);
  };
  const auto forward = [&] { chosen->forward(); };
  const auto backward = [&] { chosen->backward(); };
  with([](Together& t) { t.convolutions.clear(); });
  EXPECT_THAT(forward, misuse("conv2d_relu_pool: takes 1 to 8 convolutions, got 0"));
  EXPECT_THAT(backward, misuse("conv2d_relu_pool_backward: takes 1 to 8 convolutions, got 0"));
  with([](Together& t) { t.convolutions.resize(9, t.convolutions.front()); });
  EXPECT_THAT(forward, misuse("conv2d_relu_pool: takes 1 to 8 convolutions, got 9"));
  for (const std::size_t c : {0U, 1U}) {
    with([c](Together& t) { t.convolutions[c].argmax = Tensor(); });
    EXPECT_THAT(forward, misuse("conv2d_relu_pool: argmax is undefined"));
    EXPECT_THAT(backward, misuse("conv2d_relu_pool_backward: argmax is undefined"));
    with([c](Together& t) { t.convolutions[c].kept = nullptr; });
    EXPECT_THAT(forward, misuse("conv2d_relu_pool: kept is null"));
    backward();  // which needs none
  }
  with([](Together& t) { t.convolutions[1].kept = t.convolutions[0].kept; });
  EXPECT_THAT(forward, misuse("conv2d_relu_pool: kept is the same for two convolutions"));
  with([](Together& t) { t.convolutions[1].x = Tensor(); });
  EXPECT_THAT(forward, misuse("conv2d_relu_pool: x is undefined"));
  with([](Together& t) { t.convolutions[1].x = Tensor::zeros({2, 4, 4, 4}); });
  EXPECT_THAT(forward, misuse("conv2d_relu_pool: x must be [2, "));
  EXPECT_THAT(backward, misuse("conv2d_relu_pool_backward: x must be [2, "));
  with([](Together& t) { t.convolutions[1].weight = Tensor::zeros({5, 3, 3, 3}); });
  EXPECT_THAT(forward, misuse("conv2d_relu_pool: weight must be [5, 4, 3, 3], got [5, 3, 3, 3]"));
  with([](Together& t) { t.last().y.tensor = Tensor::zeros({2, 21}); });
  EXPECT_THAT(forward, misuse("conv2d_relu_pool: y must be [2, 20], got [2, 21]"));
  with([](Together& t) { t.last().dy.tensor = Tensor::zeros({2, 21}); });
  EXPECT_THAT(backward, misuse("conv2d_relu_pool_backward: dy must be [2, 20], got [2, 21]"));
  with([](Together& t) { t.gradients.pop_back(); });
  EXPECT_THAT(backward, misuse("conv2d_relu_pool_backward: 2 convolutions and gradients of 1"));
  with([](Together& t) { t.gradients[1].dweight = Tensor::zeros({5, 4, 3, 2}); });
  EXPECT_THAT(backward, misuse("conv2d_relu_pool_backward: dweight must be [5, 4, 3, 3], got [5, 4, 3, 2]"));
  chosen.emplace(chain_of({2, 3, 8, 8, 0}, {4, 5, 6}));
  chosen->convolutions.push_back(chosen->convolutions.back());
  EXPECT_THAT(forward, misuse("conv2d_relu_pool: x must have a channel and be at least 2 high and wide, got [2, 6, 1, 1]"));
}

}  // namespace
}  // namespace gpucnn::kernels
