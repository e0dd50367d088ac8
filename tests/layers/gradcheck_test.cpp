#include <gpucnn/layers/gradcheck.h>

#include <stdexcept>
#include <utility>

#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/dropout.h>

#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

/// y = x^2, whose gradient is off by a factor where `wrong` says so.
class Square : public Module {
 public:
  explicit Square(float wrong) : factor_(wrong) {}
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context& context) const override {
    context.save(x);
    return combine(x, x, [](float a, float) { return a * a; });
  }
  Tensor gradients(const Tensor& dy, Context& context) override {
    return combine(dy, context.saved(), [this](float d, float x) { return 2 * factor_ * d * x; });
  }

 private:
  float factor_;
};

/// y = x, whose backward gives this.
class Backward : public Module {
 public:
  explicit Backward(Tensor dx) : dx_(std::move(dx)) {}
  Shape output_shape(const Shape& x) const override { return x; }
  Tensor forward(const Tensor& x, Context&) const override { return x; }
  Tensor gradients(const Tensor&, Context&) override { return dx_; }

 private:
  Tensor dx_;
};

class GradcheckTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, GradcheckTest, devices(), device_name);

TEST_P(GradcheckTest, AgreesWithARightGradientAndNamesAWrongOne) {
  Square right(1), wrong(1.2F);
  right.to(device());
  wrong.to(device());
  EXPECT_EQ(gradcheck(right, {2, 5}).compared, 10);
  try {
    gradcheck(wrong, {2, 5});
    FAIL() << "a gradient that is a fifth too large was let through";
  } catch (const GradientError& error) {
    EXPECT_EQ(error.tensor(), "x");
    EXPECT_NEAR(error.backward(), 1.2 * error.numeric(), 0.02 * std::abs(error.numeric()));
    EXPECT_THAT(error.what(),
                testing::HasSubstr("gradcheck: element " + std::to_string(error.element()) + " of x: backward gives"));
  }
}

TEST_P(GradcheckTest, SkipsKinksAndDrawsTheSameDropoutInEveryForward) {
  Sequential model{Linear(6, 40), ReLU(), Dropout(0.5), Linear(40, 3)};
  model.to(device());
  const GradcheckResult result = gradcheck(model, {3, 6}, {.max_elements = 1000});
  EXPECT_EQ(result.compared + result.skipped, 18 + 6 * 40 + 40 + 40 * 3 + 3);
  EXPECT_GT(result.compared, 350);
}

TEST_P(GradcheckTest, LeavesTheModuleAsItWas) {
  Sequential model{Linear(3, 2), Dropout(0.5), Scale(2)};
  model.to(device());
  model(random_tensor({1, 3}, 1));
  const std::vector<float> before = all_values(model);
  const std::uint64_t step = model.random_step();
  const float forwards = model.at<Scale>("2").forwards.item();
  gradcheck(model, {2, 3});
  EXPECT_EQ(all_values(model), before);
  EXPECT_EQ(model.random_step(), step);
  EXPECT_EQ(model.at<Scale>("2").forwards.item(), forwards);
  EXPECT_FALSE(model.input_grad());
  for (const Parameter& parameter : model.parameters()) EXPECT_FALSE(parameter.has_grad());
}

TEST(Gradcheck, PassesFrozenParametersOverAndRefusesBadOptions) {
  Linear linear(3, 2);
  linear.weight().requires_grad(false);
  EXPECT_EQ(gradcheck(linear, {2, 3}).compared, 6 + 2);
  EXPECT_THAT([&] { gradcheck(linear, {2, 3}, {.step = 0}); }, misuse("gradcheck: step must be finite and above 0, got 0"));
  EXPECT_THAT([&] { gradcheck(linear, {2, 3}, {.rtol = -1}); }, misuse("gradcheck: rtol must be at least 0, got -1"));
  EXPECT_THAT([&] { gradcheck(linear, {2, 3}, {.max_elements = 0}); }, misuse("gradcheck: max_elements must be at least 1, got 0"));
  EXPECT_THAT([&] { gradcheck(linear, {2, 4}); }, misuse("Linear: expects 3 input features, got 4"));
}

TEST(Gradcheck, NamesALayerWithoutAGradientOfItsInput) {
  Backward none{{}}, other(Tensor::zeros({3}));
  const auto refusal = [](const char* words) { return testing::ThrowsMessage<std::logic_error>(testing::HasSubstr(words)); };
  EXPECT_THAT([&] { gradcheck(none, {2, 3}); }, refusal("Backward: backward must give the gradient of x, [2, 3], gave none"));
  EXPECT_THAT([&] { gradcheck(other, {2, 3}); }, refusal("Backward: backward must give the gradient of x, [2, 3], gave [3]"));
}

}  // namespace
}  // namespace gpucnn
