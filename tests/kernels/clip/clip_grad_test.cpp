#include <gpucnn/kernels/clip/clip_grad.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/values.h"
#include "unaligned.h"

namespace gpucnn {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int64_t kSizes[] = {0, 1, 3, 31, 33, 257, 5000, 700'001};

double reference_norm(const std::vector<float>& x, double p) {
  double total = 0;
  for (const float value : x) {
    const double size = std::abs(static_cast<double>(value));
    total = p == kInfinity ? std::max(total, size) : total + std::pow(size, p);
  }
  return p == kInfinity ? total : std::pow(total, 1 / p);
}

class ClipGradKernelsTest : public DeviceTest {
 protected:
  float norm(const Tensor& x, double p) {
    Tensor result = Tensor::full({}, -1, device());
    kernels::vector_norm(x, p, result, stream());
    return result.item();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, ClipGradKernelsTest, devices(), device_name);

TEST_P(ClipGradKernelsTest, NormsAreTheTextbooks) {
  for (const std::int64_t size : kSizes) {
    SCOPED_TRACE(size);
    const std::vector<float> values = reference::random_floats(size, 3);
    const Tensor x = tensor(values);
    for (const double p : {2.0, 1.0, 3.5, kInfinity}) {
      if (size > 5000 && p == 3.5) continue;
      SCOPED_TRACE(p);
      everywhere(device(), [&] {
        const std::vector<float> norms{norm(x, p), norm(unaligned(x), p)};
        expect_close(norms, std::vector<double>(2, reference_norm(values, p)), kPointwise);
        return norms;
      });
    }
  }
}

TEST_P(ClipGradKernelsTest, ANormIsNaNWhereAnElementIsAndNothingOverflows) {
  for (const std::size_t place : {0U, 7U, 4000U, 4999U}) {
    for (const double p : {2.0, 1.0, 3.0, kInfinity}) {
      std::vector<float> values = reference::random_floats(5000, 1);
      values[place] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_TRUE(std::isnan(norm(tensor(values), p))) << place << ' ' << p;
      values[place] = -std::numeric_limits<float>::infinity();
      EXPECT_EQ(norm(tensor(values), p), std::numeric_limits<float>::infinity()) << place << ' ' << p;
    }
  }
  EXPECT_EQ(norm(tensor(std::vector<float>{3e30F, -4e30F}), 2), 5e30F);
  EXPECT_NEAR(norm(tensor(std::vector<float>{3e-30F, -4e-30F}), 2), 5e-30F, 1e-36F);
}

TEST_P(ClipGradKernelsTest, ClippingIsPointwise) {
  for (const std::int64_t size : kSizes) {
    SCOPED_TRACE(size);
    const std::vector<float> values = reference::random_floats(size, 3);
    std::vector<double> scaled, limited;
    for (const float value : values) {
      scaled.push_back(static_cast<double>(value) * 0.5 / (2 + 1e-6));
      limited.push_back(std::clamp(static_cast<double>(value), -0.25, 0.25));
    }
    everywhere(device(), [&] {
      Tensor by_norm = unaligned(tensor(values)), by_value = tensor(values), large = tensor(values);
      kernels::clip_by_norm(Tensor::full({}, 2, device()), 0.5, by_norm, stream());
      kernels::clip_by_value(0.25, by_value, stream());
      kernels::clip_by_norm(Tensor::full({}, 2, device()), 2.5, large, stream());
      std::vector<float> result = by_norm.to_vector<float>();
      expect_close(result, scaled, kPointwise);
      expect_close(by_value.to_vector<float>(), limited, kSameValue);
      EXPECT_EQ(large.to_vector<float>(), values);
      return result;
    });
  }
}

TEST_P(ClipGradKernelsTest, RefusesWhatItsContractExcludes) {
  Tensor x = empty({3}), norm = empty({}), wide = empty({1}), whole = empty({3}, DType::i32);
  EXPECT_THAT([&] { kernels::vector_norm(x, 0, norm, stream()); }, misuse("vector_norm: norm_type must be > 0, got 0"));
  EXPECT_THAT([&] { kernels::vector_norm(x, 2, wide, stream()); }, misuse("vector_norm: norm must be [], got [1]"));
  EXPECT_THAT([&] { kernels::vector_norm(whole, 2, norm, stream()); }, misuse("vector_norm: x must be f32"));
  EXPECT_THAT([&] { kernels::clip_by_norm(norm, -1, x, stream()); }, misuse("clip_by_norm: max_norm must be >= 0, got -1"));
  EXPECT_THAT([&] { kernels::clip_by_norm(wide, 1, x, stream()); }, misuse("clip_by_norm: total_norm must be [], got [1]"));
  EXPECT_THAT([&] { kernels::clip_by_value(std::nan(""), x, stream()); },
              misuse("clip_by_value: clip_value must be >= 0, got nan"));
  EXPECT_THAT([&] { kernels::clip_by_value(1, whole, stream()); }, misuse("clip_by_value: gradient must be f32"));
}

}  // namespace
}  // namespace gpucnn
