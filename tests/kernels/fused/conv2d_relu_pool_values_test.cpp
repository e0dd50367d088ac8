#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conv2d_relu_pool_problem.h"
#include "everywhere.h"

namespace gpucnn::kernels {
namespace {

// ---- by hand --------------------------------------------------------------------------------------------------------------------

TEST(Conv2dReluPool, GivesValuesWorkedByHand) {
  // Channel 0: 76 66 / 46 36, of which the first wins. Channel 1, with negated weights: -37 -27 / -7 3, of which the last wins.
  const Data data{
      {1, 1, 2, 2, 2}, {1, 2, 3, 4}, {1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -2, -3, -4, -5, -6, -7, -8, -9}, {-1, 40}, {2, -1}};
  everywhere(Device::cpu(), [&] {
    const Results actual = compute(data);
    EXPECT_THAT(actual.y, testing::ElementsAre(76, 3));
    EXPECT_THAT(actual.argmax, testing::ElementsAre(0, 3));
    EXPECT_THAT(actual.dweight, testing::ElementsAre(0, 0, 0, 0, 2, 4, 0, 6, 8, -1, -2, 0, -3, -4, 0, 0, 0, 0));
    EXPECT_THAT(actual.dbias, testing::ElementsAre(2, -1));
    EXPECT_THAT(actual.dx, testing::ElementsAre(2 * 5 + 1, 2 * 6 + 2, 2 * 8 + 4, 2 * 9 + 5));
    return actual.all();
  });
}

/// An image whose convolution is its last channel, x. The others have numbers, of which nothing is taken.
Data identity(std::int64_t C, const std::vector<float>& x, std::int64_t H, std::int64_t W, const std::vector<float>& dy) {
  Data data = whole_numbers({1, C, H, W, 1, false});
  std::ranges::copy(x, data.x.end() - H * W);
  std::ranges::fill(data.weight, 0.0F);
  *(data.weight.end() - 5) = 1;
  data.dy = dy;
  return data;
}

std::vector<float> last(std::size_t count, const std::vector<float>& values) {
  return {values.end() - static_cast<std::ptrdiff_t>(count), values.end()};
}

/// Calls `check` with the results of every instruction set, for few and many channels; they are the last channel's.
template <class Check>
void for_identities(const std::vector<float>& x, std::int64_t H, std::int64_t W, const std::vector<float>& dy, const Check& check) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    everywhere(Device::cpu(), [&] {
      const Results all = compute(identity(C, x, H, W, dy));
      for (std::size_t i = 0; i + x.size() < all.dx.size(); ++i) EXPECT_EQ(all.dx[i], 0) << "of another channel";
      for (std::size_t i = 0; i + 9 < all.dweight.size(); ++i) EXPECT_TRUE(std::isfinite(all.dweight[i])) << "of another channel";
      check(Results{.y = all.y, .dweight = last(9, all.dweight), .dx = last(x.size(), all.dx), .argmax = all.argmax});
      return all.all();
    });
  }
}

TEST(Conv2dReluPool, TheFirstOfEqualsWinsIfItIsPositive) {
  const std::vector<float> x{7,  7, 0, 1, -1, -2, 0,     0,  -5, 2,  //
                             7,  7, 1, 1, -3, -4, 0,     0,  2,  2,  //
                             -1, 0, 3, 5, 0,  -1, -0.0F, -1, 6,  5,  //
                             0,  0, 5, 4, 9,  9,  -1,    -1, 6,  6};
  const std::vector<float> dy{1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
  for_identities(x, 4, 10, dy, [](const Results& actual) {
    EXPECT_THAT(actual.y, testing::ElementsAre(7, 1, 0, 0, 2, 0, 5, 9, 0, 6));
    EXPECT_THAT(actual.argmax, testing::ElementsAre(0, 1, 4, 4, 1, 4, 1, 2, 4, 0));
    EXPECT_THAT(actual.dx, testing::ElementsAre(1, 0, 0, 2, 0, 0, 0, 0, 0, 16,    //
                                                0, 0, 0, 0, 0, 0, 0, 0, 0, 0,     //
                                                0, 0, 0, 64, 0, 0, 0, 0, 512, 0,  //
                                                0, 0, 0, 0, 128, 0, 0, 0, 0, 0));
  });
}

TEST(Conv2dReluPool, AWindowOfWhichNothingIsPositiveTakesNoGradient) {
  const Sizes sizes{2, 3, 6, 7, 5};
  Data data = random_data(sizes);
  std::ranges::fill(data.bias, -1000.0F);
  std::ranges::fill(data.dy, kNan);
  data.dy[0] = kInfinity;
  everywhere(Device::cpu(), [&] {
    const Results actual = compute(data);
    EXPECT_THAT(actual.y, testing::Each(0.0F));
    EXPECT_THAT(actual.argmax, testing::Each(kNoWinner));
    for (const auto& gradient : {actual.dweight, actual.dbias, actual.dx}) EXPECT_THAT(gradient, testing::Each(0.0F));
    return actual.all();
  });
}

TEST(Conv2dReluPool, TheLastNanWinsAndItsGradientPasses) {
  // The NaN makes the 9 outputs around it NaN: all of the first window, two of each of the next, one of the last.
  const std::vector<float> x{1, 2, 3, 4, 5, kNan, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6};
  for_identities(x, 4, 4, {1, 2, 4, 8}, [](const Results& actual) {
    EXPECT_THAT(actual.y, testing::Each(testing::IsNan()));
    EXPECT_THAT(actual.argmax, testing::ElementsAre(3, 2, 1, 0));
    EXPECT_THAT(actual.dx, testing::ElementsAre(0, 0, 0, 0, 0, 1, 2, 0, 0, 4, 8, 0, 0, 0, 0, 0));
    // The winners met the NaN with these four weights, and nothing but numbers with the others.
    const std::vector<float>& dweight = actual.dweight;
    for (const std::size_t tap : {0U, 1U, 3U, 4U}) EXPECT_TRUE(std::isnan(dweight[tap])) << tap;
    EXPECT_EQ(dweight[2], 1 * 3 + 2 * 4 + 4 * 6 + 8 * 7);
    EXPECT_EQ(dweight[5], 1 * 6 + 2 * 7 + 4 * 1 + 8 * 2);
    EXPECT_EQ(dweight[6], 1 * 8 + 2 * 9 + 4 * 3 + 8 * 4);
    EXPECT_EQ(dweight[7], 1 * 9 + 2 * 1 + 4 * 4 + 8 * 5);
    EXPECT_EQ(dweight[8], 1 * 1 + 2 * 2 + 4 * 5 + 8 * 6);
  });
}

TEST(Conv2dReluPool, ANanInTheLastPixelReachesTheLastWindowAlone) {
  std::vector<float> x(25, 2);  // odd: the pixel lies in no window, but within reach of the last output
  x.back() = kNan;
  for_identities(x, 5, 5, {1, 2, 4, 8}, [](const Results& actual) {
    EXPECT_THAT(actual.y, testing::ElementsAre(2, 2, 2, testing::IsNan()));
    EXPECT_THAT(actual.argmax, testing::ElementsAre(0, 0, 0, 3));
  });
}

TEST(Conv2dReluPool, ASumThatOverflowsIsNotFinite) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    // Only the last window's first output meets pixel (1, 1) with a weight, of which the channels give it 5e38 and -5e38 by turns:
    // their sum is infinite with FMA, which does not round products, and NaN without.
    Data data{{1, C + 1, 4, 4, 1}, {}, {}, {0}, {1, 2, 4, 8}};
    data.x.assign(static_cast<std::size_t>(16 * (C + 1)), 0);
    data.weight.assign(static_cast<std::size_t>(9 * (C + 1)), 0);
    for (std::size_t c = 0; c <= static_cast<std::size_t>(C); ++c) {
      data.x[16 * c + 5] = 5e37F;
      data.weight[9 * c] = c % 2 == 0 ? 10.0F : -10.0F;
    }
    everywhere(Device::cpu(), [&] {
      const Results actual = compute(data);
      EXPECT_THAT(actual.y, testing::ElementsAre(0, 0, 0, testing::Not(testing::Truly([](float y) { return std::isfinite(y); }))));
      EXPECT_THAT(actual.argmax, testing::ElementsAre(4, 4, 4, 0));
      return actual.all();
    });
  }
}

TEST(Conv2dReluPool, ABiasMayBeInfiniteOrNan) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    Data data = random_data({1, C, 5, 4, 3});
    data.bias = {kInfinity, -kInfinity, kNan};
    everywhere(Device::cpu(), [&] {
      const Results actual = compute(data);
      EXPECT_THAT(std::vector<float>(actual.y.begin(), actual.y.begin() + 4), testing::Each(kInfinity));
      EXPECT_THAT(std::vector<float>(actual.y.begin() + 4, actual.y.begin() + 8), testing::Each(0.0F));
      EXPECT_THAT(std::vector<float>(actual.y.begin() + 8, actual.y.end()), testing::Each(testing::IsNan()));
      EXPECT_THAT(actual.argmax, testing::ElementsAre(0, 0, 0, 0, 4, 4, 4, 4, 3, 3, 3, 3));
      expect_gradients(actual, reference_backward(data, actual.argmax), kSum);
      return actual.all();
    });
  }
}

// ---- what infinities and NaN reach ----------------------------------------------------------------------------------------------

TEST(Conv2dReluPool, InfinitiesGoNoFurtherThanTheConvolutionTakesThem) {
  for (const std::int64_t C : kFewAndManyChannels) {
    const Data numbers = random_data({3, C, 6, 9, 5});
    Data pixels = numbers, weight = numbers;
    pixels.x[static_cast<std::size_t>(54 * C - 41)] = kInfinity;  // in the first image
    pixels.x[static_cast<std::size_t>(54 * C + 31)] = -kInfinity;
    weight.weight[static_cast<std::size_t>(9 * C + 4)] = -kInfinity;  // amid a window, so that it meets no padding
    for (const Data& data : {pixels, weight}) {
      SCOPED_TRACE(C);
      const Forward expected = reference_forward(data);
      everywhere(Device::cpu(), [&] {
        const Results actual = compute(data);
        expect_close(actual.y, expected.y, kSum);
        expect_close(at_argmax(data.sizes, expected.activations, actual.argmax), expected.y, kSum);
        return actual.y;
      });
    }
  }
}

TEST(Conv2dReluPool, ANanReachesTheBandBesideItsOwn) {
  const Data numbers = random_data({1, 3, 70, 64, 1});  // on one thread in two bands, the second from row 38 on
  for (const std::size_t row : {36U, 37U, 38U, 39U}) {
    SCOPED_TRACE(row);
    Data data = numbers;
    data.x[(2 * 70 + row) * 64 + 31] = kNan;
    const Forward expected = reference_forward(data);
    everywhere(Device::cpu(), [&] {
      const Results actual = compute(data);
      expect_close(actual.y, expected.y, kSum);
      return actual.y;
    });
  }
}

TEST(Conv2dReluPool, SumsThatStayFiniteDirectlyAreFiniteHoweverTheyAreAdded) {
  // Inputs of either sign around (2, 2) add up in Winograd's transforms, and over the channels: to more than floats hold.
  constexpr std::int64_t kChannels = 64;
  constexpr float kWeight = 1e10F, kInput = std::numeric_limits<float>::max() / kWeight / kChannels / 8;
  Data data{{1, kChannels, 6, 6, 1}, {}, std::vector<float>(9 * kChannels, kWeight), {0}, std::vector<float>(9, 1)};
  for (std::int64_t c = 0; c < kChannels; ++c) {
    for (const float sign : {0.F, 0.F,  0.F, 0.F, 0.F,  0.F, 0.F, -1.F, -1.F, -1.F, -1.F, 0.F, 0.F, -1.F, 1.F, 1.F, -1.F, 0.F,
                             0.F, -1.F, 1.F, 1.F, -1.F, 0.F, 0.F, -1.F, -1.F, -1.F, -1.F, 0.F, 0.F, 0.F,  0.F, 0.F, 0.F,  0.F}) {
      data.x.push_back(sign * kInput);
    }
  }
  everywhere(Device::cpu(), [&] {
    const Results actual = compute(data);
    for (const float y : actual.y) EXPECT_TRUE(std::isfinite(y)) << y;
    return actual.y;
  });
}

TEST(Conv2dReluPool, AWeightThatIsNoNumberMakesNanOfZeros) {
  for (const std::int64_t C : kFewAndManyChannels) {
    for (const float weight : {kNan, kInfinity, -kInfinity}) {
      SCOPED_TRACE(C);
      Data data{{1, C, 4, 4, 1}, std::vector<float>(static_cast<std::size_t>(16 * C), 0), {}, {1}, {1, 2, 4, 8}};
      data.weight.assign(static_cast<std::size_t>(9 * C), 1);
      data.weight[0] = weight;
      everywhere(Device::cpu(), [&] {
        Problem problem(data);
        problem.argmax.tensor = Tensor{};
        problem.forward();
        EXPECT_THAT(problem.y.tensor.to_vector<float>(), testing::Each(testing::IsNan()));
        return problem.y.tensor.to_vector<float>();
      });
    }
  }
}

TEST(Conv2dReluPool, ANumberThatIsNotFiniteMakesNanOfThePadding) {
  for (const std::int64_t C : kFewAndManyChannels) {
    for (const auto& [H, W] : {std::pair<std::int64_t, std::int64_t>{6, 9}, {2, 2}, {5, 4}}) {
      for (const float value : {kNan, kInfinity, -kInfinity}) {
        const Data numbers = random_data({2, C, H, W, 5});
        for (const std::int64_t tap : {0, 2, 5, 8}) {  // of output channel 2
          SCOPED_TRACE(numbers.sizes.string() + ", weight " + std::to_string(tap) + " is " + std::to_string(value));
          Data data = numbers;
          data.weight[static_cast<std::size_t>(9 * (2 * C + C - 1) + tap)] = value;
          const Forward expected = reference_forward(data);
          everywhere(Device::cpu(), [&] {
            const Results actual = compute(data);
            expect_close(actual.y, expected.y, kSum);
            return actual.y;
          });
        }
        SCOPED_TRACE(numbers.sizes.string() + ", dy is " + std::to_string(value));
        Data data = numbers;
        data.bias.assign(5, 1000);  // so that there is a winner everywhere
        data.dy.front() = data.dy.back() = value;
        everywhere(Device::cpu(), [&] {
          const Results actual = compute(data);
          expect_close(actual.dweight, reference_backward(data, actual.argmax).dweight, kVendorSum);
          return actual.dweight;
        });
      }
    }
  }
}

TEST(Conv2dReluPool, AnInfinityThatOnlyALoserMeetsIsLeftOut) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    Data data{{1, C, 3, 3, 1}, std::vector<float>(static_cast<std::size_t>(9 * C), 1), {}, {1000}, {1}};
    data.x[8] = kInfinity;  // the last pixel, which the last of the window's outputs alone has within reach
    data.weight.assign(static_cast<std::size_t>(9 * C), -1);
    everywhere(Device::cpu(), [&] {
      const Results actual = compute(data);
      EXPECT_THAT(actual.y, testing::ElementsAre(1000 - 4 * static_cast<float>(C)));
      EXPECT_THAT(actual.argmax, testing::ElementsAre(0));
      for (const auto& gradient : {actual.dweight, actual.dbias, actual.dx}) {
        EXPECT_THAT(gradient, testing::Each(testing::AnyOf(-1.0F, 0.0F, 1.0F)));
      }
      return actual.all();
    });
  }
}

/// The part of a batch's values that is one image's.
template <class T>
std::vector<T> image_of(const std::vector<T>& values, std::int64_t n, std::int64_t N) {
  const auto size = static_cast<std::ptrdiff_t>(values.size()) / N;
  return {values.begin() + n * size, values.begin() + (n + 1) * size};
}

TEST(Conv2dReluPool, NoImageReachesAnother) {
  for (const Sizes& sizes : {Sizes{3, 3, 7, 5, 5}, Sizes{35, 3, 6, 7, 5}, Sizes{18, 17, 5, 4, 70}, Sizes{17, 200, 6, 18, 2}}) {
    SCOPED_TRACE(sizes.string());
    const Data clean = random_data(sizes);
    Data spoilt = clean;
    for (std::vector<float>* values : {&spoilt.x, &spoilt.dy}) {
      const std::size_t image = values->size() / static_cast<std::size_t>(sizes.N);
      for (std::size_t e = 0; e < values->size(); ++e) {
        if (e / image % 2 == 1) (*values)[e] = e / image % 4 == 1 ? kNan : kInfinity;
      }
    }
    everywhere(Device::cpu(), [&] {
      const Results actual = compute(spoilt), expected = compute(clean);
      for (std::int64_t n = 0; n < sizes.N; n += 2) {
        SCOPED_TRACE(n);
        EXPECT_EQ(image_of(actual.y, n, sizes.N), image_of(expected.y, n, sizes.N));
        EXPECT_EQ(image_of(actual.argmax, n, sizes.N), image_of(expected.argmax, n, sizes.N));
        EXPECT_EQ(image_of(actual.dx, n, sizes.N), image_of(expected.dx, n, sizes.N));
      }
      return actual.argmax;
    });
  }
}

TEST(Conv2dReluPool, AnInfiniteGradientReachesOnlyThePixelsOfItsWinner) {
  for (const auto& [C, K] : {std::pair{1, 1}, {3, 5}, {5, 3}, {16, 2}, {17, 4}, {33, 2}, {3, 70}}) {
    const Sizes sizes{2, C, 6, 7, K};
    SCOPED_TRACE(sizes.string());
    Data data = random_data(sizes);
    std::ranges::fill(data.bias, 1000.0F);  // so that there is a winner everywhere
    for (const std::int64_t target : ForcedInstructionSet::all()) {
      SCOPED_TRACE(hwy::TargetName(target));
      const ForcedInstructionSet forced(target);
      const Results clean = compute(data);
      for (std::int64_t e = K - 1; e<sizes.y().numel(); e += K> 5 ? 41 : 1) {
        SCOPED_TRACE(e);
        Data infinite = data;
        infinite.dy[static_cast<std::size_t>(e)] = kInfinity;
        const Results actual = compute(infinite);
        const std::int64_t channel = e / 9 % K, n = e / 9 / K, argmax = clean.argmax[static_cast<std::size_t>(e)];
        const std::int64_t row = e / 3 % 3 * 2 + argmax / 2, column = e % 3 * 2 + argmax % 2;
        for (std::int64_t i = 0; i < sizes.x().numel(); ++i) {
          const auto at = static_cast<std::size_t>(i);
          const bool near = std::abs(i / 7 % 6 - row) <= 1 && std::abs(i % 7 - column) <= 1 && i / 42 / C == n;
          if (near) {
            ASSERT_FALSE(std::isfinite(actual.dx[at])) << "element " << i;
          } else {
            ASSERT_EQ(actual.dx[at], clean.dx[at]) << "element " << i;
          }
        }
        for (std::int64_t i = 0; i < sizes.weight().numel(); ++i) {
          const auto at = static_cast<std::size_t>(i);
          if (i / 9 / C == channel) continue;
          ASSERT_EQ(actual.dweight[at], clean.dweight[at]) << "weight " << i;
        }
        for (std::int64_t k = 0; k < K; ++k) {
          const auto at = static_cast<std::size_t>(k);
          EXPECT_EQ(actual.dbias[at], k == channel ? kInfinity : clean.dbias[at]);
        }
      }
    }
  }
}

TEST(Conv2dReluPool, IsExactBesideAWeightFarAboveTheOthers) {
  for (const std::int64_t C : kFewAndManyChannels) {
    SCOPED_TRACE(C);
    Data data = random_data({2, C, 6, 8, 20});
    for (std::size_t i = 0; i < data.x.size(); ++i) {
      if (i % 8 != 0) data.x[i] = 0;
    }
    data.weight[5] = 0;
    const Results expected = compute(data);
    data.weight[5] = 1e30F;  // the last tap of a row, which only reads zeros
    everywhere(Device::cpu(), [&] {
      const Results actual = compute(data);
      for (std::size_t i = 0; i < actual.y.size(); ++i) EXPECT_NEAR(actual.y[i], expected.y[i], 1e-5) << i;
      return actual.y;
    });
  }
}

}  // namespace
}  // namespace gpucnn::kernels
