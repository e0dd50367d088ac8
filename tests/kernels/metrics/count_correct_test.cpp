#include <gpucnn/kernels/metrics/count_correct.h>

#include <limits>

#include <gtest/gtest.h>

#include "device_test.h"
#include "misuse.h"
#include "reference/values.h"

namespace gpucnn::kernels {
namespace {

using Labels = std::vector<std::int32_t>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class CountCorrectTest : public DeviceTest {
 protected:
  float count(const std::vector<float>& logits, const Labels& labels) {
    const auto N = static_cast<std::int64_t>(labels.size());
    const std::int64_t C = N == 0 ? 3 : static_cast<std::int64_t>(logits.size()) / N;
    Tensor result = empty({});
    count_correct(tensor(logits, {N, C}), tensor(labels, {N}), result, stream());
    return result.item();
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, CountCorrectTest, devices(), device_name);

TEST_P(CountCorrectTest, CountsRowsWhoseFirstLargestIsAtTheLabel) {
  const std::vector<float> logits{1, 3, 2, 5, 5, 4, -kInfinity, -kInfinity, -kInfinity, 0, 1, kInfinity};
  EXPECT_EQ(count(logits, {1, 0, 0, 2}), 4);
  EXPECT_EQ(count(logits, {1, 1, 1, 2}), 2);
  EXPECT_EQ(count(logits, {-1, 3, 7, 0}), 0);
  EXPECT_EQ(count({}, {}), 0);
}

TEST_P(CountCorrectTest, ARowWithNanIsWrong) { EXPECT_EQ(count({kNan, 1, 1, kNan, 2, 1, kNan, kNan}, {0, 0, 0, 0}), 1); }

TEST_P(CountCorrectTest, CountsInEverySize) {
  for (const Shape& shape : {Shape{1, 1}, Shape{9, 10}, Shape{31, 33}, Shape{257, 100}, Shape{5000, 3}}) {
    SCOPED_TRACE(shape.string());
    const std::int64_t N = shape[0], C = shape[1];
    const std::vector<float> logits = reference::random_floats(N * C, 1);
    Labels labels;
    float expected = 0;
    for (std::int64_t n = 0; n < N; ++n) {
      const auto row = logits.begin() + n * C;
      const auto largest = static_cast<std::int32_t>(std::max_element(row, row + C) - row);
      labels.push_back(n % 3 ? largest : 0);
      expected += n % 3 || largest == 0 ? 1.0F : 0.0F;
    }
    EXPECT_EQ(count(logits, labels), expected);
  }
}

TEST_P(CountCorrectTest, TakesProbabilitiesForTheClassOfTheFirstLargest) {
  const std::vector<float> logits{1, 3, 2, 5, 5, 4, 0, 1, kNan, 0, 1, 2, 3, 1, 2};
  const std::vector<float> probabilities{0.2F, 0.5F, 0.3F, 0.5F, 0.5F, 0, 0, 1, 0, kNan, 0, 1, 0, 0.6F, 0.4F};
  Tensor result = empty({});
  count_correct(tensor(logits, {5, 3}), tensor(probabilities, {5, 3}), result, stream());
  EXPECT_EQ(result.item(), 2);
  const Tensor many = Tensor::randn({257, 100}, 1, device());
  count_correct(many, many, result, stream());
  EXPECT_EQ(result.item(), 257);
}

TEST_P(CountCorrectTest, RefusesTensorsThatDoNotFitTogether) {
  Tensor x = empty({2, 3}), labels = empty({2}, DType::i32), result = empty({}), none = empty({2, 0});
  EXPECT_THAT([&] { count_correct(none, labels, result, stream()); }, misuse("count_correct: C must be at least 1, got 0"));
  EXPECT_THAT([&] { count_correct(result, labels, result, stream()); }, misuse("count_correct: logits must have 2 dimensions"));
  const Tensor bytes = empty({2}, DType::u8), wide = empty({2, 4});
  EXPECT_THAT([&] { count_correct(x, bytes, result, stream()); }, misuse("count_correct: labels must be i32"));
  EXPECT_THAT([&] { count_correct(x, wide, result, stream()); }, misuse("count_correct: labels must be [2, 3], got [2, 4]"));
  EXPECT_THAT([&] { count_correct(x, labels, x, stream()); }, misuse("count_correct: count must be [], got [2, 3]"));
}

}  // namespace
}  // namespace gpucnn::kernels
