#include <gpucnn/kernels/augment/mix.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/kernels/augment/mixture.h>

#include "device_test.h"
#include "everywhere.h"
#include "kernels/augment/distribution.h"
#include "misuse.h"
#include "reference/augment.h"

namespace gpucnn::kernels {
namespace {

using Labels = std::vector<std::int32_t>;

class MixTest : public DeviceTest {
 protected:
  /// The images, then the probabilities.
  std::vector<float> mixed(const Tensor& x, const Labels& labels, const MixOptions& options, const BatchPosition& position) {
    Tensor y = Tensor::full(x.shape(), -99, device()), p = Tensor::full({x.dim(0), options.num_classes}, -99, device());
    mix(x, tensor(labels, Shape{labels.size()}), options, position, y, p, stream());
    std::vector<float> all = y.to_vector<float>();
    const std::vector<float> probabilities = p.to_vector<float>();
    all.insert(all.end(), probabilities.begin(), probabilities.end());
    return all;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, MixTest, devices(), device_name);

/// The contract, in float64.
std::vector<double> reference_of(const Tensor& x, const Labels& labels, const MixOptions& options, const BatchPosition& position) {
  const std::int64_t H = x.dim(2), W = x.dim(3);
  const RandomStream words(position.seed, Purpose::augment, 3, position.epoch);
  const std::uint64_t first = 8 * static_cast<std::uint64_t>(position.first);
  const bool cuts = options.mixup_alpha == 0 || (options.cutmix_alpha != 0 && words.word(first) >> 31 == 1);
  const double u = (words.word(first + 1) + 0.5) / 4294967296.0, v = (words.word(first + 2) + 0.5) / 4294967296.0;
  const double alpha = cuts ? options.cutmix_alpha : options.mixup_alpha;
  // Student's t with nu degrees of freedom, and what it says of Beta(nu / 2, nu / 2).
  const double nu = 2 * alpha, t = std::sqrt(nu * (std::pow(u, -2 / nu) - 1)) * std::cos(2 * std::numbers::pi * v);
  const double lambda = 0.5 + t / (2 * std::sqrt(nu + t * t));
  const auto pictures = reference::pictures_of(as_doubles(x.to_vector<float>()), x.dim(0), x.dim(1), H, W);
  std::vector<reference::Picture> y;
  double own = lambda;
  if (cuts) {
    const double r = 0.5 * std::sqrt(1 - lambda);
    const auto rows = static_cast<std::int64_t>(r * static_cast<double>(H)),
               columns = static_cast<std::int64_t>(r * static_cast<double>(W));
    const std::int64_t row = words.below(first + 4, static_cast<std::uint32_t>(H)),
                       column = words.below(first + 3, static_cast<std::uint32_t>(W));
    const std::int64_t top = std::max<std::int64_t>(row - rows, 0), bottom = std::min(row + rows, H);
    const std::int64_t left = std::max<std::int64_t>(column - columns, 0), right = std::min(column + columns, W);
    y = reference::mixed_in_box(pictures, top, bottom, left, right);
    own = 1 - static_cast<double>((bottom - top) * (right - left)) / static_cast<double>(H * W);
  } else {
    y = reference::mixed_up(pictures, lambda);
  }
  std::vector<double> all = reference::values_of(y);
  const std::vector<double> probabilities = reference::mixed_labels(labels, options.num_classes, own);
  all.insert(all.end(), probabilities.begin(), probabilities.end());
  return all;
}

Labels labels_of(std::int64_t N) {
  Labels labels;
  for (std::int64_t n = 0; n < N; ++n) labels.push_back(static_cast<std::int32_t>(n * n % 5));
  return labels;
}

TEST_P(MixTest, IsTorchvisionsWithTheDrawsOfItsContract) {
  for (const Shape& shape : {Shape{6, 3, 8, 8}, Shape{1, 3, 5, 4}, Shape{2, 1, 31, 33}, Shape{7, 17, 3, 2}, Shape{33, 3, 1, 1}}) {
    const Tensor x = Tensor::randn(shape, 1, device());
    for (const MixOptions& options : {MixOptions{0.2, 0, 5}, MixOptions{0, 1, 5}, MixOptions{0.4, 0.7, 5}, MixOptions{3, 0, 9}}) {
      for (std::int64_t first = 0; first < 12; ++first) {
        SCOPED_TRACE(shape.string() + " first " + std::to_string(first));
        const BatchPosition position{.seed = 5, .epoch = 1, .first = first * 40};
        expect_close(mixed(x, labels_of(shape[0]), options, position), reference_of(x, labels_of(shape[0]), options, position),
                     kSum);
      }
    }
  }
}

TEST_P(MixTest, DoesNotDependOnTheNumberOfThreads) {
  const Tensor x = Tensor::randn({40, 3, 16, 16}, 1, device());
  for (const MixOptions& options : {MixOptions{0.2, 0, 5}, MixOptions{0, 1, 5}}) {
    everywhere(device(), [&] { return mixed(x, labels_of(40), options, {.seed = 1}); });
  }
}

TEST_P(MixTest, ALabelThatIsNoClassHasNoProbability) {
  const std::vector<float> made =
      mixed(Tensor::zeros({2, 1, 1, 1}, DType::f32, device()), {-1, 3}, {.mixup_alpha = 1, .num_classes = 3}, {});
  EXPECT_EQ(made, std::vector<float>(8));
}

TEST_P(MixTest, TakesBatchesOfNothing) {
  EXPECT_TRUE(mixed(empty({0, 3, 4, 4}), {}, {.mixup_alpha = 1, .num_classes = 3}, {}).empty());
  for (const MixOptions& options : {MixOptions{1, 0, 2}, MixOptions{0, 1, 2}}) {
    const std::vector<float> made = mixed(empty({2, 3, 0, 4}), {0, 1}, options, {});
    ASSERT_EQ(made.size(), 4U);
    EXPECT_FLOAT_EQ(made[0] + made[1], 1);
    EXPECT_FLOAT_EQ(made[0], made[3]);
  }
}

TEST_P(MixTest, RefusesWhatItsContractDoesNotAllow) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = empty({2, 3, 4, 4}), labels = empty({2}, DType::i32);
  Tensor y = empty({2, 3, 4, 4}), p = empty({2, 5}), wrong = empty({2, 4}), same = x;
  const auto refuses = [&](const MixOptions& options, const char* message) {
    EXPECT_THAT([&] { mix(x, labels, options, {}, y, p, stream()); }, misuse(message));
  };
  refuses({.num_classes = 5}, "mix: mixup_alpha or cutmix_alpha must be > 0, got 0 and 0");
  refuses({.mixup_alpha = -1, .num_classes = 5}, "mix: mixup_alpha must be finite and >= 0, got -1");
  refuses({.cutmix_alpha = nan, .num_classes = 5}, "mix: cutmix_alpha must be finite and >= 0, got nan");
  refuses({.mixup_alpha = 1}, "mix: num_classes must be from 1 to 2^31 - 1 for mixup and cutmix, got 0");
  refuses({.mixup_alpha = 1, .num_classes = -3}, "mix: num_classes must be from 1 to 2^31 - 1 for mixup and cutmix, got -3");
  const MixOptions good{.mixup_alpha = 1, .num_classes = 5};
  EXPECT_THAT([&] { mix(x, labels, good, {}, y, wrong, stream()); }, misuse("mix: probabilities must be [2, 5], got [2, 4]"));
  EXPECT_THAT([&] { mix(x, x, good, {}, y, p, stream()); }, misuse("mix: labels must be i32, got f32"));
  EXPECT_THAT([&] { mix(x, labels, good, {}, same, p, stream()); }, misuse("mix: images and mixed share memory"));
}

/// Lambdas of many batches.
std::vector<double> lambdas(double alpha) {
  std::vector<double> values;
  for (std::int64_t first = 0; first < 20'000; ++first) {
    values.push_back(static_cast<double>(mixture_of(alpha, 0, {.seed = 8, .epoch = 2, .first = first}, 1, 1).own));
  }
  return values;
}

TEST(Mixture, LambdaIsDistributedAsBeta) {
  expect_distributed(lambdas(0.5), [](double x) { return 2 / std::numbers::pi * std::asin(std::sqrt(x)); });
  expect_distributed(lambdas(1), [](double x) { return x; });
  expect_distributed(lambdas(2), [](double x) { return x * x * (3 - 2 * x); });
  for (const double alpha : {0.01, 0.1, 0.2, 5.0, 1000.0}) {
    SCOPED_TRACE(alpha);
    const std::vector<double> values = lambdas(alpha);
    double mean = 0, variance = 0;
    for (const double value : values) mean += value / 20'000;
    for (const double value : values) variance += (value - 0.5) * (value - 0.5) / 20'000;
    const double expected = 1 / (4 * (2 * alpha + 1));
    EXPECT_NEAR(mean, 0.5, 5 * std::sqrt(expected / 20'000));
    EXPECT_NEAR(variance, expected, 0.05 * expected);
  }
}

TEST(Mixture, LambdaIsANumberForEveryAlpha) {
  for (const double alpha : {5e-324, 1e-300, 1e-10, 1e10, 1e300, std::numeric_limits<double>::max()}) {
    for (std::int64_t first = 0; first < 1000; ++first) {
      const Mixture mixture = mixture_of(alpha, 0, {.first = first}, 4, 4);
      ASSERT_TRUE(mixture.own >= 0 && mixture.own <= 1) << alpha << " " << mixture.own;
      ASSERT_TRUE(mixture.others >= 0 && mixture.others <= 1) << alpha << " " << mixture.others;
    }
  }
}

TEST(Mixture, ACoinPicksOneOfTwoAndBoxesCoverTheirShare) {
  int cuts = 0;
  for (std::int64_t first = 0; first < 20'000; ++first) {
    const Mixture mixture = mixture_of(0.4, 1, {.seed = 3, .first = first}, 8, 6);
    cuts += mixture.cuts;
    if (!mixture.cuts) continue;
    const auto area = static_cast<float>(mixture.box.height() * mixture.box.width());
    ASSERT_FLOAT_EQ(mixture.others, area / 48);
    ASSERT_TRUE(mixture.box.top >= 0 && mixture.box.bottom <= 8 && mixture.box.left >= 0 && mixture.box.right <= 6);
  }
  expect_equally_frequent({cuts, 20'000 - cuts});
}

}  // namespace
}  // namespace gpucnn::kernels
