#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/optim/clip_grad.h>
#include <gpucnn/train/exponential_moving_average.h>

#include "device_test.h"
#include "golden_case.h"

// PyTorch's clipping and averaged models, as tests/golden/cases/record_clipping.py recorded them.
namespace gpucnn {
namespace {

/// A gradient may be tiny, and is no sum.
constexpr Tolerance kRelative{1e-5, 0};

double number(const nlohmann::json& options, const std::string& name, double standard = 0) {
  if (!options.contains(name)) return standard;
  return options.at(name) == "inf" ? std::numeric_limits<double>::infinity() : options.at(name).get<double>();
}

/// Parameters in one arena, with the gradients that the case has before the call.
std::vector<Parameter> parameters_of(const GoldenCase& recorded, Device device) {
  std::vector<Parameter> parameters;
  std::vector<std::string> names;
  for (const Shape& shape : {Shape{3, 5}, Shape{7}, Shape{16}, Shape{2, 3, 3, 3}, Shape{}}) {
    names.push_back(std::to_string(parameters.size()));
    parameters.emplace_back(shape, Init{});
  }
  Arena::pack(parameters, names, 0, device);
  for (Parameter& parameter : parameters) {
    if (recorded.has("before." + parameter.name())) parameter.accumulate_grad(recorded.at("before." + parameter.name()));
  }
  return parameters;
}

void expect_clipped(const GoldenCase& recorded, Device device) {
  const std::vector<Parameter> parameters = parameters_of(recorded, device);
  if (recorded.options.at("clip") == "clip_grad_value_") {
    clip_grad_value(parameters, number(recorded.options, "clip_value"));
  } else {
    const Tensor norm = clip_grad_norm(parameters, number(recorded.options, "max_norm"), number(recorded.options, "norm_type", 2));
    EXPECT_EQ(norm.device(), device);
    expect_golden(norm, recorded.at("total_norm"), "total_norm", kRelative);
  }
  for (const Parameter& parameter : parameters) {
    ASSERT_EQ(parameter.has_grad(), recorded.has("after." + parameter.name()));
    if (parameter.has_grad())
      expect_golden(parameter.grad(), recorded.at("after." + parameter.name()), parameter.name(), kRelative);
  }
  // What lies between the gradients stays 0, or the next norm would see it.
  const Tensor all = parameters.front().slot().grads;
  double between = 0;
  const std::vector<float> values = all.to_vector<float>();
  for (const Parameter& parameter : parameters) {
    const std::int64_t first = parameter.slot().first;
    for (std::int64_t i = parameter.numel(); i < Arena::padded(parameter.numel()); ++i)
      between += values[static_cast<std::size_t>(first + i)];
  }
  EXPECT_EQ(between, 0);
}

void expect_averaged(const GoldenCase& recorded, Device device) {
  Sequential model{Conv2d(2, 3, {.kernel_size = 2}), BatchNorm2d(3), Flatten(), Linear(12, 2)};
  ExponentialMovingAverage average(model, {.decay = number(recorded.options, "decay")});
  model.to(device);
  for (int step = 0; step < 12; ++step) {
    model.load_state_dict(recorded.with_prefix(fmt::format("{}.", step)));
    average.update();
  }
  EXPECT_EQ(average.n_averaged(), 12);
  const StateDict state = average.state_dict(), expected = recorded.with_prefix("end.");
  ASSERT_EQ(state.size(), expected.size());
  for (const auto& [name, tensor] : expected) expect_golden(state.at(name), tensor, name);
}

class ClippingGoldenTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, ClippingGoldenTest, devices(), device_name);

TEST_P(ClippingGoldenTest, GivesWhatPyTorchGives) {
  const std::vector<GoldenCase> cases = golden_cases("clipping");
  ASSERT_EQ(cases.size(), 24U);
  for (const GoldenCase& recorded : cases) {
    SCOPED_TRACE("case " + recorded.name);
    recorded.options.at("clip") == "ema" ? expect_averaged(recorded, device()) : expect_clipped(recorded, device());
  }
}

TEST(Clipping, RefusesAParameterThatNoModelHoldsWithoutAGradientToo) {
  std::vector<Parameter> parameters{Parameter({2}, Init{}), Parameter({3}, Init{})};
  Arena::pack({parameters[0]}, {"held"}, 0, Device::cpu());
  parameters[0].accumulate_grad(Tensor::full({2}, 5));
  EXPECT_THROW(clip_grad_norm(parameters, 1), std::logic_error);
  EXPECT_THROW(clip_grad_value(parameters, 1), std::logic_error);
  EXPECT_EQ(parameters[0].grad().to_vector<float>(), (std::vector<float>{5, 5}));
}

}  // namespace
}  // namespace gpucnn
