#include <gpucnn/kernels/loss/softmax_cross_entropy.h>

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "close.h"
#include "device_test.h"
#include "everywhere.h"
#include "misuse.h"
#include "reference/softmax_cross_entropy.h"
#include "unaligned.h"

namespace gpucnn::kernels {
namespace {

using Labels = std::vector<std::int32_t>;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class SoftmaxCrossEntropyTest : public DeviceTest {
 protected:
  /// The loss, and dlogits behind it.
  std::vector<float> run(const std::vector<float>& logits, std::int64_t N, std::int64_t C, const Labels& labels) {
    Tensor loss = empty({}), dlogits = empty({N, C});
    softmax_cross_entropy(tensor(logits, {N, C}), tensor(labels, {N}), loss, dlogits, stream());
    std::vector<float> result{loss.item()};
    const std::vector<float> gradient = dlogits.to_vector<float>();
    result.insert(result.end(), gradient.begin(), gradient.end());
    return result;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, SoftmaxCrossEntropyTest, devices(), device_name);

TEST_P(SoftmaxCrossEntropyTest, OfEqualLogitsIsTheLogarithmOfTheirNumber) {
  expect_close(run(std::vector<float>(8, 3.0F), 2, 4, {0, 1}),
               reference::Values{std::log(4.0), -0.375, 0.125, 0.125, 0.125, 0.125, -0.375, 0.125, 0.125}, kPointwise);
}

TEST_P(SoftmaxCrossEntropyTest, KeepsTheSmallGradientOfAGoodPrediction) {
  const double rest = std::exp(-12.0) / (1 + std::exp(-12.0));
  const std::vector<float> result = run({12, 0}, 1, 2, {0});
  expect_close(result, reference::Values{std::log1p(std::exp(-12.0)), -rest, rest}, kPointwise);
}

TEST_P(SoftmaxCrossEntropyTest, IsExactForGoodAndBadPredictionsAmongAnyNumberOfClasses) {
  for (const std::int64_t C : {2, 10, 16, 100, 128, 1000, 1024, 1500}) {
    for (const float margin : {1.0F, 15.0F, -30.0F}) {
      SCOPED_TRACE(testing::Message() << C << " classes, the label's logit larger by " << margin);
      const auto rows = static_cast<std::size_t>(C < 5 ? C : 5), columns = static_cast<std::size_t>(C);
      std::vector<float> logits = reference::random_floats(static_cast<std::int64_t>(rows * columns), 1);
      Labels labels;
      for (std::size_t n = 0; n < rows; ++n) {
        labels.push_back(static_cast<std::int32_t>((n + 1) * columns / rows - 1));
        logits[n * columns + static_cast<std::size_t>(labels.back())] += margin;
      }
      reference::CrossEntropy expected = reference::softmax_cross_entropy(rows, columns, reference::widen(logits), labels);
      expected.dlogits.insert(expected.dlogits.begin(), expected.loss);
      expect_close(run(logits, static_cast<std::int64_t>(rows), C, labels), expected.dlogits, kPointwise);
    }
  }
}

TEST_P(SoftmaxCrossEntropyTest, AgreesWithTheReferenceForEverySize) {
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 10}, Shape{3, 10}, Shape{128, 10}, Shape{31, 33}, Shape{33, 31}, Shape{257, 257},
                             Shape{5000, 3}, Shape{2, 3001}, Shape{65, 16}, Shape{65, 17}, Shape{9, 128}, Shape{9, 129},
                             Shape{17, 1000}, Shape{3, 1024}, Shape{3, 1025}}) {
    SCOPED_TRACE(shape.string());
    const std::int64_t N = shape[0], C = shape[1];
    std::vector<float> logits = reference::random_floats(N * C, 1);
    for (float& value : logits) value *= 10;
    Labels labels;
    for (std::int64_t n = 0; n < N; ++n) labels.push_back(static_cast<std::int32_t>(n * 7 % C));
    const auto rows = static_cast<std::size_t>(N), columns = static_cast<std::size_t>(C);
    reference::CrossEntropy expected = reference::softmax_cross_entropy(rows, columns, reference::widen(logits), labels);
    expected.dlogits.insert(expected.dlogits.begin(), expected.loss);
    everywhere(device(), [&] {
      const std::vector<float> result = run(logits, N, C, labels);
      expect_close(result, expected.dlogits, kPointwise);
      return result;
    });
  }
}

TEST_P(SoftmaxCrossEntropyTest, AnEmptyBatchGivesNan) { EXPECT_TRUE(std::isnan(run({}, 0, 10, {})[0])); }

TEST_P(SoftmaxCrossEntropyTest, RowsToIgnoreCountForNothing) {
  // 3000 rows are more than each block of a GPU counts itself.
  for (const std::int64_t N : {3, 3000}) {
    SCOPED_TRACE(N);
    std::vector<float> logits = reference::random_floats(N * 5, 1), rest;
    Labels labels, rest_labels;
    for (std::int64_t n = 0; n < N; ++n) {
      labels.push_back(n % 3 == 1 ? -100 : static_cast<std::int32_t>(n % 5));
      if (n % 3 == 1) {
        logits[static_cast<std::size_t>(n * 5)] = kNan;
        continue;
      }
      rest.insert(rest.end(), logits.begin() + n * 5, logits.begin() + n * 5 + 5);
      rest_labels.push_back(labels.back());
    }
    const auto expected = reference::softmax_cross_entropy(rest_labels.size(), 5, reference::widen(rest), rest_labels);
    reference::Values all{expected.loss};
    for (std::int64_t n = 0, next = 0; n < N; ++n) {
      for (int c = 0; c < 5; ++c) all.push_back(n % 3 == 1 ? 0 : expected.dlogits[static_cast<std::size_t>(next++)]);
    }
    everywhere(device(), [&] {
      const std::vector<float> result = run(logits, N, 5, labels);
      expect_close(result, all, kPointwise);
      return result;
    });
  }
  expect_close(run({1, 2, 3, 4}, 2, 2, {-100, -100}), reference::Values{kNan, 0, 0, 0, 0}, kSameValue);
}

TEST_P(SoftmaxCrossEntropyTest, NonFiniteLogitsShowInTheLoss) {
  EXPECT_TRUE(std::isnan(run({1, kNan, 0, 0}, 2, 2, {0, 0})[0]));
  EXPECT_TRUE(std::isnan(run({1, kInfinity}, 1, 2, {0})[0]));
  expect_close(run({1, -kInfinity}, 1, 2, {1}), reference::Values{kInfinity, 1, -1}, kSameValue);
}

TEST_P(SoftmaxCrossEntropyTest, WorksInPlaceWithoutAGradientAndFromAnywhere) {
  for (const std::int64_t C : {10, 16, 100, 1000, 1500}) {
    SCOPED_TRACE(C);
    const std::vector<float> logits = reference::random_floats(7 * C, 1);
    const Labels labels{0, 9, 1, -100, 2, 7, 3};
    const std::vector<float> expected = run(logits, 7, C, labels);
    const std::vector<float> gradient(expected.begin() + 1, expected.end());
    Tensor x = tensor(logits, {7, C}), loss = empty({}), none;
    softmax_cross_entropy(x, tensor(labels, {7}), loss, none, stream());
    EXPECT_EQ(loss.item(), expected[0]);
    Tensor anywhere = unaligned(x);
    softmax_cross_entropy(anywhere, tensor(labels, {7}), loss, anywhere, stream());
    EXPECT_EQ(loss.item(), expected[0]);
    EXPECT_EQ(anywhere.to_vector<float>(), gradient);
    softmax_cross_entropy(x, tensor(labels, {7}), loss, x, stream());
    EXPECT_EQ(loss.item(), expected[0]);
    EXPECT_EQ(x.to_vector<float>(), gradient);
  }
}

TEST_P(SoftmaxCrossEntropyTest, TakesViews) {
  const std::vector<float> logits = reference::random_floats(7 * 9, 1);
  const Labels labels{0, 8, 1, 7, 2, 6, 3};
  Tensor memory = tensor(logits).view(1, {Shape{6, 9}}), loss = empty({}), gradient = empty({55}).view(1, {6, 9});
  softmax_cross_entropy(memory, tensor(labels, {7}).narrow(1, 6), loss, gradient, stream());
  const std::vector<float> expected = run({logits.begin() + 1, logits.begin() + 55}, 6, 9, {labels.begin() + 1, labels.end()});
  EXPECT_EQ(loss.item(), expected[0]);
  EXPECT_EQ(gradient.to_vector<float>(), std::vector<float>(expected.begin() + 1, expected.end()));
}

TEST_P(SoftmaxCrossEntropyTest, RefusesTensorsThatDoNotFitTogether) {
  Tensor x = empty({2, 3}), labels = empty({2}, DType::i32), loss = empty({}), wrong = empty({3, 2});
  const auto call = [&](const Tensor& logits, const Tensor& target, Tensor& out, Tensor& gradient) {
    return [&, this] { softmax_cross_entropy(logits, target, out, gradient, stream()); };
  };
  EXPECT_THAT(call(loss, labels, loss, x), misuse("softmax_cross_entropy: logits must have 2 dimensions, got []"));
  EXPECT_THAT(call(wrong, labels, loss, x), misuse("softmax_cross_entropy: labels must be [3], got [2]"));
  EXPECT_THAT(call(x, loss, loss, x), misuse("softmax_cross_entropy: labels must be i32, got f32"));
  EXPECT_THAT(call(x, labels, x, x), misuse("softmax_cross_entropy: loss must be [], got [2, 3]"));
  EXPECT_THAT(call(x, labels, loss, wrong), misuse("softmax_cross_entropy: dlogits must be [2, 3], got [3, 2]"));
}

class SoftmaxCrossEntropyGpuTest : public SoftmaxCrossEntropyTest {};
INSTANTIATE_TEST_SUITE_P(Devices, SoftmaxCrossEntropyGpuTest, testing::Values(Device::cuda()), device_name);

TEST_P(SoftmaxCrossEntropyGpuTest, ALabelOutsideGivesNan) {
  const double third = 1.0 / 3;
  for (const std::int32_t outside : {3, -1, std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()}) {
    expect_close(run(std::vector<float>(9, 1.0F), 3, 3, {0, outside, 1}),
                 reference::Values{kNan, third * third - third, third * third, third * third, kNan, kNan, kNan, third * third,
                                   third * third - third, third * third},
                 kPointwise);
  }
}

TEST(SoftmaxCrossEntropy, OnTheCpuRefusesALabelOutside) {
  Stream stream;
  Tensor x = Tensor::zeros({2, 3}), loss = Tensor::empty({});
  for (const std::int32_t outside : {3, -1, -99}) {
    const Tensor labels = Tensor::from(Labels{0, outside}, {2});
    EXPECT_THAT([&] { softmax_cross_entropy(x, labels, loss, x, stream); },
                misuse("label " + std::to_string(outside) + " at index 1 is outside [0, 3)"));
  }
}

}  // namespace
}  // namespace gpucnn::kernels
