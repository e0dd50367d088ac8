#include <gpucnn/kernels/augment/color_jitter.h>

#include <limits>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/random.h>
#include <gpucnn/kernels/augment/color_factors.h>

#include "device_test.h"
#include "everywhere.h"
#include "kernels/augment/distribution.h"
#include "misuse.h"
#include "reference/augment.h"

namespace gpucnn::kernels {
namespace {

using reference::Picture;

class ColorJitterTest : public DeviceTest {
 protected:
  /// Values in [0, 1], some of them pure or grey.
  Tensor pixels(const Shape& shape) const {
    std::vector<float> values = reference::random_floats(shape.numel(), 7);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 5 == 0 ? static_cast<float>(i % 2) : values[i] / 2 + 0.5F;
    return Tensor::from(values, shape, device());
  }

  std::vector<float> jittered(const Tensor& x, const ColorJitterOptions& options, const BatchPosition& position) {
    Tensor y = x.clone();
    color_jitter(y, options, position, stream());
    return y.to_vector<float>();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, ColorJitterTest, devices(), device_name);

/// The contract, in float64.
std::vector<double> reference_of(const Tensor& x, const ColorJitterOptions& options, const BatchPosition& position) {
  const double values[] = {options.brightness, options.contrast, options.saturation, options.hue};
  const RandomStream words(position.seed, Purpose::augment, 1, position.epoch);
  auto pictures = reference::pictures_of(as_doubles(x.to_vector<float>()), x.dim(0), x.dim(1), x.dim(2), x.dim(3));
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    const std::uint64_t e = static_cast<std::uint64_t>(position.first) + i;
    std::vector<std::size_t> order{0, 1, 2, 3};
    std::uint32_t k = words.below(8 * e + 4, 24);
    for (std::size_t a = 3; a > 0; --a) {
      std::swap(order[a], order[k % (a + 1)]);
      k /= static_cast<std::uint32_t>(a + 1);
    }
    for (const std::size_t a : order) {
      if (values[a] == 0) continue;
      const double low = a == 3 ? -values[a] : std::max(0.0, 1 - values[a]), high = a == 3 ? values[a] : 1 + values[a];
      const double factor = low + (high - low) * static_cast<double>(words.uniform(8 * e + a));
      pictures[i] = reference::adjusted(pictures[i], a, factor);
    }
  }
  return reference::values_of(pictures);
}

/// f32 has 24 bits of a hue of up to 6; a step of four adjustments may double an error three times.
constexpr Tolerance kColors{0, 0, 1e-5};

TEST_P(ColorJitterTest, IsTorchvisionsWithTheFactorsOfItsContract) {
  const BatchPosition position{.seed = 5, .epoch = 3, .first = 1000};
  for (const Shape& shape : {Shape{30, 3, 8, 8}, Shape{3, 3, 31, 33}, Shape{9, 1, 5, 7}, Shape{4, 3, 1, 1}, Shape{2, 3, 70, 90},
                             Shape{0, 3, 4, 4}, Shape{2, 3, 0, 4}}) {
    const Tensor x = pixels(shape);
    for (const ColorJitterOptions& options :
         {ColorJitterOptions{0.4, 0.4, 0.4, 0.1}, ColorJitterOptions{.brightness = 0.5}, ColorJitterOptions{.contrast = 2},
          ColorJitterOptions{.saturation = 0.9}, ColorJitterOptions{.hue = 0.5}, ColorJitterOptions{.contrast = 0.3, .hue = 0.2}}) {
      SCOPED_TRACE(shape.string());
      expect_close(jittered(x, options, position), reference_of(x, options, position), kColors);
    }
  }
}

TEST_P(ColorJitterTest, DoesNotDependOnTheNumberOfThreads) {
  const Tensor x = pixels({40, 3, 16, 16});
  everywhere(device(), [&] { return jittered(x, {0.4, 0.4, 0.4, 0.1}, {.seed = 1}); });
}

TEST_P(ColorJitterTest, WithoutOptionsChangesNothing) {
  const Tensor x = Tensor::randn({3, 5, 4, 4}, 1, device());
  EXPECT_EQ(jittered(x, {}, {}), x.to_vector<float>());
  const Tensor grey = pixels({3, 1, 4, 4});
  EXPECT_EQ(jittered(grey, {.saturation = 0.5, .hue = 0.5}, {}), grey.to_vector<float>());
}

TEST_P(ColorJitterTest, AnImagesColoursDependOnItsPlaceInTheEpochAlone) {
  const Tensor x = pixels({10, 3, 4, 4});
  const ColorJitterOptions options{0.4, 0.4, 0.4, 0.1};
  const std::vector<float> all = jittered(x, options, {.seed = 2, .epoch = 1, .first = 20});
  const std::vector<float> last = jittered(x.narrow(7, 3), options, {.seed = 2, .epoch = 1, .first = 27});
  EXPECT_EQ(std::vector<float>(all.end() - 3 * 48, all.end()), last);
  EXPECT_NE(jittered(x, options, {.seed = 2, .epoch = 2, .first = 20}), all);
  EXPECT_NE(jittered(x, options, {.seed = 3, .epoch = 1, .first = 20}), all);
}

TEST_P(ColorJitterTest, NanStaysInItsImage) {
  Tensor x = pixels({3, 3, 4, 4});
  std::vector<float> values = x.to_vector<float>();
  values[48] = std::numeric_limits<float>::quiet_NaN();
  const Tensor broken = tensor(values, x.shape());
  const ColorJitterOptions options{0.4, 0.4, 0.4, 0.1};
  const std::vector<float> expected = jittered(x, options, {}), made = jittered(broken, options, {});
  for (std::size_t i = 0; i < made.size(); ++i) {
    if (i < 48 || i >= 96) {
      EXPECT_EQ(made[i], expected[i]) << i;
    }
  }
  EXPECT_TRUE(std::isnan(made[48]));
}

TEST_P(ColorJitterTest, RefusesWhatItsContractDoesNotAllow) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto refuses = [&](const ColorJitterOptions& options, std::int64_t C, const char* message) {
    Tensor x = Tensor::zeros({1, C, 2, 2}, DType::f32, device());
    EXPECT_THAT([&] { color_jitter(x, options, {}, stream()); }, misuse(message));
  };
  refuses({.brightness = -0.1}, 3, "color_jitter: brightness must be finite and >= 0, got -0.1");
  refuses({.contrast = nan}, 3, "color_jitter: contrast must be finite and >= 0, got nan");
  refuses({.saturation = std::numeric_limits<double>::infinity()}, 3, "color_jitter: saturation must be finite and >= 0, got inf");
  refuses({.hue = 0.6}, 3, "color_jitter: hue must be in [0, 0.5], got 0.6");
  refuses({.hue = nan}, 3, "color_jitter: hue must be in [0, 0.5], got nan");
  refuses({.brightness = 0.1}, 4, "color_jitter: colours can be changed in images of 1 or 3 channels, got 4");
  Tensor bytes = empty({1, 3, 2, 2}, DType::u8), flat = empty({3, 2, 2});
  EXPECT_THAT([&] { color_jitter(bytes, {}, {}, stream()); }, misuse("color_jitter: images must be f32, got u8"));
  EXPECT_THAT([&] { color_jitter(flat, {}, {}, stream()); }, misuse("color_jitter: images must have 4 dimensions"));
}

TEST(ColorFactors, AreUniformInTheirRangesAndTheOrdersEquallyFrequent) {
  const ColorRanges ranges = color_ranges({0.4, 1.5, 0.2, 0.1}, 3);
  std::vector<double> values[kAdjustments];
  std::map<std::vector<int>, int> orders;
  constexpr int kCount = 24'000;
  for (std::uint64_t position = 0; position < kCount; ++position) {
    const ColorFactors factors = color_factors(ranges, {.seed = 11, .epoch = 4}, position);
    ASSERT_EQ(factors.steps, kAdjustments);
    for (int a = 0; a < kAdjustments; ++a) values[a].push_back(static_cast<double>(factors.factor[a]));
    ++orders[{factors.order, factors.order + kAdjustments}];
  }
  const auto uniform = [](double low, double high) {
    return [=](double x) { return std::clamp((x - low) / (high - low), 0.0, 1.0); };
  };
  expect_distributed(values[kBrightness], uniform(0.6, 1.4));
  expect_distributed(values[kContrast], uniform(0, 2.5));
  expect_distributed(values[kSaturation], uniform(0.8, 1.2));
  expect_distributed(values[kHue], uniform(-0.1, 0.1));
  EXPECT_EQ(orders.size(), 24U);
  std::vector<int> counts;
  for (const auto& [order, count] : orders) counts.push_back(count);
  expect_equally_frequent(counts);
}

}  // namespace
}  // namespace gpucnn::kernels
