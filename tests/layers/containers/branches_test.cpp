// Residual and Concat.
#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/concat.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/gradcheck.h>
#include <gpucnn/layers/pool/max_pool2d.h>

#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

class BranchesTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, BranchesTest, devices(), device_name);

Sequential convolutions(int channels) {
  return Sequential{Conv2d(channels, 4, {.kernel_size = 3, .padding = 1}), ReLU(), Conv2d(4, channels, {.kernel_size = 1})};
}

TEST_P(BranchesTest, ResidualAddsItsInputOrAShortcut) {
  Residual plain(convolutions(3)), projected(Conv2d(3, 5, {.kernel_size = 3, .stride = 2, .padding = 1}),
                                             {"downsample", Conv2d(3, 5, {.kernel_size = 1, .stride = 2})});
  EXPECT_EQ(names(plain.parameters()), (std::vector<std::string>{"body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"}));
  EXPECT_EQ(names(projected.parameters()),
            (std::vector<std::string>{"body.weight", "body.bias", "downsample.weight", "downsample.bias"}));
  Sequential body = convolutions(3);
  body.load_state_dict([&] {
    StateDict state;
    for (const auto& [name, tensor] : plain.state_dict()) state.add(name.substr(5), tensor);
    return state;
  }());
  plain.to(device());
  body.to(device());
  const Tensor x = random_tensor({2, 3, 5, 5}, 1);
  EXPECT_EQ(values(plain(x)), values(sum(body(x), x)));
  EXPECT_EQ(values(plain.predict(x)), values(plain(x)));
  projected.to(device());
  EXPECT_EQ(projected(x).shape(), (Shape{2, 5, 3, 3}));
}

TEST_P(BranchesTest, ConcatPutsItsBranchesSideBySide) {
  Concat both{Conv2d(2, 3, {.kernel_size = 1}), {"identity", Sequential{}}};
  both.to(device());
  const Tensor x = random_tensor({2, 2, 3, 3}, 1);
  const Tensor y = both(x);
  ASSERT_EQ(y.shape(), (Shape{2, 5, 3, 3}));
  EXPECT_EQ(names(both.parameters()), (std::vector<std::string>{"0.weight", "0.bias"}));
  const std::vector<float> all = values(y), given = values(x);
  for (std::size_t n = 0; n < 2; ++n) {
    for (std::size_t i = 0; i < 18; ++i) EXPECT_EQ(all[n * 45 + 27 + i], given[n * 18 + i]);
  }
}

TEST_P(BranchesTest, GradientsAreThoseOfTheDifferenceQuotients) {
  Sequential model{Conv2d(2, 4, {.kernel_size = 3, .padding = 1}),
                   Residual(convolutions(4)),
                   Concat{Conv2d(4, 2, {.kernel_size = 1}), Sequential{ReLU()}, MaxPool2d(3, 1, 1)},
                   Residual(MaxPool2d(2), Conv2d(10, 10, {.kernel_size = 2, .stride = 2})),
                   Flatten(),
                   Linear(40, 3)};
  model.to(device());
  const GradcheckResult result = gradcheck(model, {2, 2, 4, 4});
  EXPECT_GT(result.compared, 200);
  EXPECT_LT(result.skipped, result.compared / 4);
}

TEST_P(BranchesTest, WhereNobodyWantsTheGradientOfXNoneIsGiven) {
  Residual block(Conv2d(2, 2, {.kernel_size = 1}));
  Concat both{Conv2d(2, 2, {.kernel_size = 1}), Conv2d(2, 1, {.kernel_size = 1})};
  for (Module* module : {static_cast<Module*>(&block), static_cast<Module*>(&both)}) {
    module->to(device()).set_input_grad(false);
    const Tensor y = module->operator()(random_tensor({1, 2, 3, 3}, 1));
    EXPECT_FALSE(module->backward(y).defined());
    for (const Parameter& parameter : module->parameters()) EXPECT_TRUE(parameter.has_grad()) << parameter.name();
  }
}

TEST(Branches, RefuseShapesThatDoNotFitEachOther) {
  EXPECT_THAT(
      [] {
        Residual(Conv2d(2, 3, {.kernel_size = 1})).output_shape({1, 2, 4, 4});
      },
      misuse("the body makes [1, 3, 4, 4] of [1, 2, 4, 4], the shortcut [1, 2, 4, 4]"));
  Sequential model{{"block", Residual(Conv2d(2, 2, {.kernel_size = 3}))}};
  EXPECT_THAT([&] { model(Tensor::zeros({1, 2, 4, 4})); }, misuse("block Residual: the body makes [1, 2, 2, 2]"));
  EXPECT_THAT(
      [] {
        (Concat{Conv2d(2, 3, {.kernel_size = 1}), Conv2d(2, 3, {.kernel_size = 3})}).output_shape({1, 2, 4, 4});
      },
      misuse("concat: [1, 3, 4, 4] and [1, 3, 2, 2]"));
  EXPECT_THAT([] { Concat(std::vector<Child>{}); }, misuse("Concat: there is no branch"));
  EXPECT_THAT([] { Residual{std::unique_ptr<Module>()}; }, misuse("Residual: a child was moved from"));
  EXPECT_THAT([] { Residual({"shortcut", ReLU()}, ReLU()); }, misuse("Residual: there is already a child 'shortcut'"));
}

TEST(Branches, PredictGivesTheBitsOfAForward) {
  Sequential model{Conv2d(2, 4, {.kernel_size = 1}), Residual(convolutions(4)), Concat{ReLU(), Conv2d(4, 2, {.kernel_size = 1})}};
  model.eval();
  const Tensor x = gpucnn::random_tensor({2, 2, 5, 5}, 1);
  EXPECT_EQ(values(model.predict(x)), values(model(x)));
}

}  // namespace
}  // namespace gpucnn
