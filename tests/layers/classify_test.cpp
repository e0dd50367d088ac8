#include <gpucnn/layers/classify.h>

#include <gtest/gtest.h>

#include "close.h"
#include "layers/layers.h"
#include "misuse.h"
#include "reference/softmax.h"

namespace gpucnn {
namespace {

TEST(Softmax, GivesTheReferencesProbabilities) {
  const Tensor logits = random_tensor({6, 11}, 1), probabilities = softmax(logits);
  EXPECT_EQ(probabilities.shape(), (Shape{6, 11}));
  expect_close(values(probabilities), reference::softmax(6, 11, reference::widen(values(logits))), kPointwise);
}

TEST(Argmax, GivesTheFirstOfTheLargest) {
  const Tensor classes = argmax(Tensor::from(std::vector<float>{1, 3, 2, 5, 5, 0}, {2, 3}));
  EXPECT_EQ(classes.shape(), (Shape{2}));
  EXPECT_EQ(classes.to_vector<std::int64_t>(), (std::vector<std::int64_t>{1, 0}));
}

TEST(Classify, RefusesWhatIsNotLogits) {
  for (Tensor (*classify)(const Tensor&) : {&softmax, &argmax}) {
    EXPECT_THAT([&] { classify(Tensor::zeros({3})); }, misuse(": expects logits [N, C], got [3]"));
    EXPECT_THAT([&] { classify(Tensor()); }, misuse(": expects logits [N, C], got []"));
    EXPECT_THAT([&] { classify(Tensor::zeros({1, 3}, DType::u8)); }, misuse("f32"));
  }
}

}  // namespace
}  // namespace gpucnn
