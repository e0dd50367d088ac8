#include <gpucnn/kernels/head/linear_head.h>

#include <cmath>
#include <limits>
#include <random>

#include <gtest/gtest.h>

#include <gpucnn/kernels/copy/cast.h>

#include "close.h"
#include "device_test.h"

namespace gpucnn::kernels {
namespace {

struct Sizes {
  std::int64_t N, K, C, slices;
  bool biases = true;
  double p = 0.5;
};

const Sizes kSizes[] = {{1, 4, 1, 1},           {128, 128, 10, 16},           {5, 12, 3, 2, false, 0},
                        {9, 132, 32, 1},        {1100, 16, 7, 3, true, 0.25}, {17, 512, 10, 4, false},
                        {3, 256, 2, 2, true, 1}};

constexpr std::int32_t kIgnored = -100;

/// Operands, and results in float64.
struct Problem {
  Sizes sizes;
  std::vector<float> products, hidden_bias, weight, bias;
  std::vector<std::int32_t> labels;
  RandomStream mask{7, Purpose::dropout, 3, 11};

  Problem(const Sizes& of, std::uint32_t seed) : sizes(of) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const auto draw = [&](std::int64_t count, float scale) {
      std::vector<float> values(static_cast<std::size_t>(count));
      for (float& value : values) value = scale * normal(random);
      return values;
    };
    products = draw(of.slices * of.N * of.K, 1);
    hidden_bias = draw(of.K, 1);
    weight = draw(of.C * of.K, 0.3F);
    bias = draw(of.C, 1);
    for (std::int64_t n = 0; n < of.N; ++n) {
      labels.push_back(n % 5 == 3 ? kIgnored : static_cast<std::int32_t>(random() % static_cast<std::uint32_t>(of.C)));
    }
  }
};

struct Results {
  std::vector<double> logits, dhidden, dweight, dbias;
  double loss = 0;
  std::int64_t correct = 0, ignored = 0;
};

Results expected(const Problem& problem) {
  const auto [N, K, C, slices, biases, p] = problem.sizes;
  const auto at = [](const auto& values, std::int64_t i) { return static_cast<double>(values[static_cast<std::size_t>(i)]); };
  Results r;
  r.dweight.resize(static_cast<std::size_t>(C * K));
  r.dbias.resize(static_cast<std::size_t>(C));
  for (const std::int32_t label : problem.labels) r.ignored += label == kIgnored;
  const auto counted = static_cast<double>(N - r.ignored);
  for (std::int64_t n = 0; n < N; ++n) {
    std::vector<double> h, factors, logits, dlogits;
    for (std::int64_t k = 0; k < K; ++k) {
      double x = biases ? at(problem.hidden_bias, k) : 0;
      for (std::int64_t s = 0; s < slices; ++s) x += at(problem.products, (s * N + n) * K + k);
      const bool dropped = static_cast<double>(problem.mask.uniform(static_cast<std::uint64_t>(n * K + k))) < p;
      factors.push_back(dropped ? 0 : 1 / (1 - p));
      h.push_back(std::max(x, 0.0) * factors.back());
    }
    for (std::int64_t c = 0; c < C; ++c) {
      double sum = biases ? at(problem.bias, c) : 0;
      for (std::int64_t k = 0; k < K; ++k) sum += h[static_cast<std::size_t>(k)] * at(problem.weight, c * K + k);
      logits.push_back(sum);
    }
    r.logits.insert(r.logits.end(), logits.begin(), logits.end());
    const std::int32_t label = problem.labels[static_cast<std::size_t>(n)];
    const auto largest = std::ranges::max_element(logits);
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit - *largest);
    if (label != kIgnored) {
      r.loss += std::log(sum) + *largest - logits[static_cast<std::size_t>(label)];
      r.correct += largest - logits.begin() == label;
    }
    for (std::int64_t c = 0; c < C; ++c) {
      const double share = std::exp(logits[static_cast<std::size_t>(c)] - *largest) / sum;
      dlogits.push_back(label == kIgnored ? 0 : (share - (c == label ? 1 : 0)) / counted);
      r.dbias[static_cast<std::size_t>(c)] += dlogits.back();
    }
    for (std::int64_t k = 0; k < K; ++k) {
      double through = 0;
      for (std::int64_t c = 0; c < C; ++c) {
        through += dlogits[static_cast<std::size_t>(c)] * at(problem.weight, c * K + k);
        r.dweight[static_cast<std::size_t>(c * K + k)] += dlogits[static_cast<std::size_t>(c)] * h[static_cast<std::size_t>(k)];
      }
      r.dhidden.push_back(h[static_cast<std::size_t>(k)] > 0 ? through * factors[static_cast<std::size_t>(k)] : 0);
    }
  }
  r.loss /= counted;
  return r;
}

class LinearHeadTest : public DeviceTest {
 protected:
  /// By the kernel. The slices are added here.
  Results computed(const Problem& problem, DType dtype = DType::f32) {
    const auto [N, K, C, slices, biases, p] = problem.sizes;
    const std::int64_t blocks = linear_head_blocks(N), width = C * K + (biases ? C : 0);
    const LinearHead head{.products = tensor(problem.products, {slices, N, K}),
                          .hidden_bias = biases ? tensor(problem.hidden_bias, {K}) : Tensor{},
                          .p = p,
                          .mask = p > 0 ? std::optional(problem.mask) : std::nullopt,
                          .weight = tensor(problem.weight, {C, K}),
                          .bias = biases ? tensor(problem.bias, {C}) : Tensor{},
                          .labels = tensor(problem.labels, {N}),
                          .ignore_index = kIgnored};
    LinearHeadResults results{.logits = empty({N, C}),
                              .dhidden = empty({N, K}, dtype),
                              .slices = empty({blocks, width}),
                              .parts = cuda::linear_head_parts(N, device())};
    cuda::linear_head(head, results, stream());
    Tensor loss = empty({});
    cuda::linear_head_loss(results.parts, N, loss, stream());
    Tensor dhidden = dtype == DType::f32 ? results.dhidden : empty({N, K});
    if (dtype != DType::f32) cast(results.dhidden, dhidden, stream());
    Results r{.logits = as_doubles(results.logits.to_vector<float>()),
              .dhidden = as_doubles(dhidden.to_vector<float>()),
              .loss = static_cast<double>(loss.item())};
    const std::vector<float> rows = results.slices.to_vector<float>();
    std::vector<double> sums(static_cast<std::size_t>(width));
    for (std::size_t i = 0; i < rows.size(); ++i) sums[i % sums.size()] += static_cast<double>(rows[i]);
    r.dweight.assign(sums.begin(), sums.begin() + C * K);
    r.dbias.assign(sums.begin() + C * K, sums.end());
    return r;
  }

  static constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
};
INSTANTIATE_TEST_SUITE_P(Gpu, LinearHeadTest, testing::Values(Device::cuda()), device_name);

TEST_P(LinearHeadTest, AgreesWithTheLayersInFloat64) {
  for (const Sizes& sizes : kSizes) {
    SCOPED_TRACE(testing::Message() << sizes.N << " rows, " << sizes.K << " units, " << sizes.C << " classes");
    ASSERT_TRUE(linear_head_serves(sizes.N, sizes.K, sizes.C));
    const Problem problem(sizes, 1);
    const Results e = expected(problem), r = computed(problem);
    expect_close(r.logits, e.logits, kSum);
    expect_close(r.dhidden, e.dhidden, kSum);
    expect_close(r.dweight, e.dweight, {1e-5, 1e-6});
    if (sizes.biases) expect_close(r.dbias, e.dbias, kSum);
    expect_close({&r.loss, 1}, {&e.loss, 1}, kPointwise);
  }
}

TEST_P(LinearHeadTest, RoundsTheHiddenGradientToBf16Once) {
  const Problem problem({20, 64, 10, 2}, 2);
  const Results wide = computed(problem), narrow = computed(problem, DType::bf16);
  expect_close(narrow.dhidden, wide.dhidden, {0x1p-8, 0});
  EXPECT_NE(narrow.dhidden, wide.dhidden);
  EXPECT_EQ(narrow.dweight, wide.dweight);
}

TEST_P(LinearHeadTest, IsTheSameEveryTime) {
  const Problem problem({300, 128, 10, 4}, 3);
  const Results first = computed(problem), second = computed(problem);
  EXPECT_EQ(first.dweight, second.dweight);
  EXPECT_EQ(first.dhidden, second.dhidden);
  EXPECT_EQ(first.loss, second.loss);
}

TEST_P(LinearHeadTest, ANanOfARowStaysInThatRow) {
  Problem problem({16, 8, 4, 1, true, 0}, 4);
  problem.products[5 * 8 + 2] = kNan;
  const Results r = computed(problem);
  EXPECT_TRUE(std::isnan(r.loss));
  for (std::size_t c = 0; c < 4; ++c) {
    EXPECT_TRUE(std::isnan(r.logits[5 * 4 + c]));
    EXPECT_FALSE(std::isnan(r.logits[6 * 4 + c]));
  }
  EXPECT_TRUE(std::isnan(r.dhidden[5 * 8 + 2])) << "relu passes NaN, and its gradient";
  EXPECT_FALSE(std::isnan(r.dhidden[6 * 8 + 2]));
}

TEST_P(LinearHeadTest, ALabelThatIsNoClassMakesNan) {
  for (const std::int32_t wrong : {-1, 4}) {
    Problem problem({16, 8, 4, 1, true, 0}, 5);
    problem.labels[2] = wrong;
    const Results r = computed(problem);
    EXPECT_TRUE(std::isnan(r.loss)) << wrong;
    EXPECT_TRUE(std::isnan(r.dbias[0])) << wrong;
  }
}

TEST_P(LinearHeadTest, WithoutALabelThatCountsTheLossIsNanAndTheGradientZero) {
  Problem problem({6, 8, 4, 1}, 6);
  std::ranges::fill(problem.labels, kIgnored);
  const Results r = computed(problem);
  EXPECT_TRUE(std::isnan(r.loss));
  EXPECT_EQ(r.dhidden, std::vector<double>(6 * 8, 0.0));
  EXPECT_EQ(r.dweight, std::vector<double>(4 * 8, 0.0));
}

TEST_P(LinearHeadTest, SaysWhatItDoesNotServe) {
  EXPECT_TRUE(linear_head_serves(65'536, 128, 10));
  EXPECT_FALSE(linear_head_serves(65'537, 128, 10));
  EXPECT_FALSE(linear_head_serves(0, 128, 10));
  EXPECT_FALSE(linear_head_serves(128, 126, 10)) << "units come in fours";
  EXPECT_FALSE(linear_head_serves(128, 128, 33));
  EXPECT_FALSE(linear_head_serves(128, 516, 2));
  EXPECT_FALSE(linear_head_serves(128, 512, 32)) << "more than a block can share";
}

}  // namespace
}  // namespace gpucnn::kernels
