#include <gpucnn/layers/functional.h>

#include <gtest/gtest.h>

#include "close.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/softmax.h"

namespace gpucnn {
namespace {

class ClassifyTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ClassifyTest, devices(), device_name);

TEST_P(ClassifyTest, SoftmaxGivesTheReferencesProbabilities) {
  const Tensor logits = random_tensor({6, 11}, 1), probabilities = softmax(logits);
  EXPECT_EQ(probabilities.shape(), (Shape{6, 11}));
  expect_close(values(probabilities), reference::softmax(6, 11, reference::widen(values(logits))), kPointwise);
}

TEST_P(ClassifyTest, ArgmaxGivesTheFirstOfTheLargest) {
  const Tensor classes = argmax(tensor<float>({1, 3, 2, 5, 5, 0}, {2, 3}));
  EXPECT_EQ(classes.shape(), (Shape{2}));
  EXPECT_EQ(classes.to_vector<std::int64_t>(), (std::vector<std::int64_t>{1, 0}));
}

TEST_P(ClassifyTest, RefusesWhatIsNotLogits) {
  for (Tensor (*classify)(const Tensor&) : {&softmax, &argmax}) {
    EXPECT_THAT([&] { classify(zeros({3})); }, misuse(": expects logits [N, C], got [3]"));
    EXPECT_THAT([&] { classify(Tensor()); }, misuse(": expects logits [N, C], got []"));
    EXPECT_THAT([&] { classify(zeros({1, 3}, DType::u8)); }, misuse("f32"));
  }
}

}  // namespace
}  // namespace gpucnn
