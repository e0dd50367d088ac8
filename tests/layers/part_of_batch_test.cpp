#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/dropout2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/module/step_ends.h>
#include <gpucnn/layers/norm/batch_norm2d.h>

#include "layers/layers.h"

namespace gpucnn {
namespace {

class PartOfBatch : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, PartOfBatch, devices(), device_name);

/// Layers that draw by themselves, and those that stand in fused stages.
Sequential network() {
  return Sequential{Conv2d(3, 5, {.kernel_size = 3}),
                    Dropout2d(0.4),
                    Dropout(0.3),
                    Flatten(),
                    Linear(5 * 3 * 3, 7),
                    ReLU(),
                    Dropout(0.5),
                    Linear(7, 4)};
}

TEST_P(PartOfBatch, DrawsItsDropoutByThePlaceInTheWholeBatch) {
  constexpr std::int64_t N = 5;
  const Tensor x = random_tensor({N, 3, 5, 5}, 1), dy = random_tensor({N, 4}, 2);
  for (int hooked = 0; hooked < 2; ++hooked) {
    Sequential whole = network().clone<Sequential>();
    whole.init(3).to(device());
    if (hooked) whole.at("1").register_forward_hook([](const Module&, const Tensor&, const Tensor&) {});
    whole.set_input_grad(true);
    const std::vector<float> y = values(whole(x)), dx = values(whole.backward(dy));
    for (std::int64_t first = 1; first < N; ++first) {
      auto part = whole.clone<Sequential>();
      part.set_random_step(0);
      part.set_input_grad(true);
      StepEnds ends{.images_before = first};
      const std::vector<float> own = values(part(x.narrow(first, N - first), ends));
      EXPECT_EQ(own, std::vector<float>(y.begin() + first * 4, y.end())) << first;
      const std::vector<float> own_dx = values(part.backward(dy.narrow(first, N - first)));
      EXPECT_EQ(own_dx, std::vector<float>(dx.begin() + first * 3 * 5 * 5, dx.end())) << first;
    }
  }
}

TEST_P(PartOfBatch, WithoutImagesAddsNothingToGradients) {
  Sequential model{
      Conv2d(3, 4, {.kernel_size = 3}), BatchNorm2d(4), ReLU(), Flatten(), Linear(36, 3), ReLU(), Dropout(), Linear(3, 2)};
  model.to(device());
  const Tensor y = model(Tensor::empty({0, 3, 5, 5}, DType::f32, device()));
  EXPECT_EQ(y.shape(), (Shape{0, 2}));
  model.backward(Tensor::empty({0, 2}, DType::f32, device()));
  for (const Parameter& parameter : model.parameters()) {
    ASSERT_TRUE(parameter.has_grad()) << parameter.name();
    EXPECT_EQ(values(parameter.grad()), std::vector<float>(static_cast<std::size_t>(parameter.numel()))) << parameter.name();
  }
}

TEST_P(PartOfBatch, TellsDuringTheBackwardWhichGradientsAreThere) {
  Sequential model{Conv2d(3, 4, {.kernel_size = 3}), ReLU(), BatchNorm2d(4), Flatten(), Linear(36, 3), ReLU(), Linear(3, 2)};
  model.to(device());
  const Tensor x = random_tensor({2, 3, 5, 5}, 1), dy = random_tensor({2, 2}, 2);
  model(x);
  model.backward(dy);
  const std::vector<Parameter> parameters = model.parameters();
  std::vector<std::vector<float>> expected;
  for (const Parameter& parameter : parameters) expected.push_back(values(parameter.grad()));
  model.zero_grad();
  model(x);
  std::vector<std::int64_t> told;
  model.backward(dy, [&](std::int64_t first) {
    told.push_back(first);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      if (parameters[i].slot().first < first) continue;
      EXPECT_EQ(values(parameters[i].grad()), expected[i]) << parameters[i].name();
    }
  });
  EXPECT_GE(told.size(), 2U);
  EXPECT_TRUE(std::ranges::is_sorted(told, std::greater<>()));
  EXPECT_LT(told.back(), parameters.at(4).slot().first);  // the first Linear's, while convolutions were still to come
}

}  // namespace
}  // namespace gpucnn
