#include <gpucnn/layers/losses/cross_entropy_loss.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "close.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/softmax_cross_entropy.h"

namespace gpucnn {
namespace {

const std::vector<std::int32_t> kLabels{0, 6, 3, 3, 1};

class CrossEntropyLossTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, CrossEntropyLossTest, devices(), device_name);

TEST_P(CrossEntropyLossTest, IsTheReferencesMeanAndGradientForLabelsOfAnyIntegerDtype) {
  const Tensor logits = random_tensor({5, 7}, 1);
  const auto expected = reference::softmax_cross_entropy(5, 7, reference::widen(values(logits)), kLabels);
  const std::vector<std::uint8_t> bytes(kLabels.begin(), kLabels.end());
  const std::vector<std::int64_t> longs(kLabels.begin(), kLabels.end());
  for (const Tensor& labels : {tensor(kLabels, {5}), tensor(bytes, {5}), tensor(longs, {5})}) {
    SCOPED_TRACE(name_of(labels.dtype()));
    CrossEntropyLoss criterion;
    const Tensor loss = criterion(logits, labels);
    EXPECT_EQ(loss.shape(), Shape{});
    expect_close(values(loss), std::vector<double>{expected.loss}, kPointwise);
    expect_close(values(criterion.backward()), expected.dlogits, kSum);
  }
}

TEST_P(CrossEntropyLossTest, EachLossServesOneBackward) {
  CrossEntropyLoss criterion;
  const auto says = testing::ThrowsMessage<std::logic_error>(
      "CrossEntropyLoss: backward without a loss before it; each loss serves one backward");
  EXPECT_THAT([&] { criterion.backward(); }, says);
  criterion(zeros({5, 7}), tensor(kLabels, {5}));
  EXPECT_TRUE(criterion.backward().defined());
  EXPECT_THAT([&] { criterion.backward(); }, says);
}

TEST_P(CrossEntropyLossTest, ItsResultsNeverChangeWhileTheyAreHeld) {
  CrossEntropyLoss criterion;
  const Tensor labels = tensor(kLabels, {5});
  const Tensor loss = criterion(random_tensor({5, 7}, 1), labels), dlogits = criterion.backward();
  const std::vector<float> loss_before = values(loss), dlogits_before = values(dlogits);
  criterion(random_tensor({5, 7}, 2), labels);
  EXPECT_EQ(values(loss), loss_before);
  EXPECT_EQ(values(dlogits), dlogits_before);
}

TEST_P(CrossEntropyLossTest, RefusesWhatIsNotLogitsAndLabels) {
  CrossEntropyLoss criterion;
  const Tensor logits = zeros({5, 7}), labels = tensor(kLabels, {5});
  const auto call = [&](const Tensor& x, const Tensor& y) { return [&criterion, x, y] { criterion(x, y); }; };
  EXPECT_THAT(call(zeros({4, 7}), labels),
              misuse("CrossEntropyLoss: expects logits [N, C] and labels [N] or probabilities [N, C], got [4, 7] and [5]"));
  EXPECT_THAT(call(zeros({5}), labels), misuse("got [5] and [5]"));
  EXPECT_THAT(call(logits, zeros({5, 1}, DType::i32)), misuse("got [5, 7] and [5, 1]"));
  EXPECT_THAT(call(Tensor(), labels), misuse("CrossEntropyLoss: expects logits [N, C]"));
  EXPECT_THAT(call(logits, zeros({5})), misuse("u8, i32 or i64"));
  EXPECT_THAT(call(zeros({5, 7}, DType::u8), labels), misuse("f32"));
  // A GPU sees labels when it comes to them.
  const Tensor narrow = zeros({5, 6}), negative = tensor<std::int64_t>({0, 1, -1, 2, 3}, {5});
  EXPECT_THAT([&] { criterion(narrow, labels).item(); }, misuse("label 6 at index 1 is outside [0, 6)"));
  EXPECT_THAT([&] { criterion(logits, negative).item(); }, misuse("label -1 at index 2 is outside [0, 7)"));
}

}  // namespace
}  // namespace gpucnn
