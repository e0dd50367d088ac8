#include <memory>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/adamw.h>
#include <gpucnn/optim/muon.h>
#include <gpucnn/optim/rmsprop.h>
#include <gpucnn/optim/sgd.h>

#include "device_test.h"
#include "golden_case.h"

// PyTorch's optimizers over 12 steps, as tests/golden/cases/record_optimizers.py and record_more_optimizers.py recorded them.
namespace gpucnn {
namespace {

/// `prefix`: what the options' names begin with.
template <class Options>
Options adam_options(const nlohmann::json& given, const std::string& prefix = "") {
  Options options;
  options.lr = given.value(prefix + "lr", options.lr);
  options.betas = given.value(prefix + "betas", options.betas);
  options.eps = given.value(prefix + "eps", options.eps);
  options.weight_decay = given.value(prefix + "weight_decay", options.weight_decay);
  options.amsgrad = given.value(prefix + "amsgrad", options.amsgrad);
  options.maximize = given.value(prefix + "maximize", options.maximize);
  return options;
}

RMSpropOptions rmsprop_options(const nlohmann::json& given) {
  RMSpropOptions options;
  options.lr = given.value("lr", options.lr);
  options.alpha = given.value("alpha", options.alpha);
  options.eps = given.value("eps", options.eps);
  options.weight_decay = given.value("weight_decay", options.weight_decay);
  options.momentum = given.value("momentum", options.momentum);
  options.centered = given.value("centered", options.centered);
  options.maximize = given.value("maximize", options.maximize);
  return options;
}

MuonOptions muon_options(const nlohmann::json& given) {
  MuonOptions options;
  options.lr = given.value("lr", options.lr);
  options.weight_decay = given.value("weight_decay", options.weight_decay);
  options.momentum = given.value("momentum", options.momentum);
  options.nesterov = given.value("nesterov", options.nesterov);
  options.ns_coefficients = given.value("ns_coefficients", options.ns_coefficients);
  options.eps = given.value("eps", options.eps);
  options.ns_steps = given.value("ns_steps", options.ns_steps);
  const auto adjust = given.value("adjust_lr_fn", std::string("original"));
  if (adjust == "match_rms_adamw") options.adjust_lr_fn = AdjustLr::match_rms_adamw;
  if (adjust == "spectral_unclamped") options.adjust_lr_fn = AdjustLr::spectral_unclamped;
  options.adamw = adam_options<AdamWOptions>(given, "adamw_");
  return options;
}

SGDOptions sgd_options(const nlohmann::json& given) {
  return {.lr = given.at("lr"),
          .momentum = given.value("momentum", 0.0),
          .dampening = given.value("dampening", 0.0),
          .weight_decay = given.value("weight_decay", 0.0),
          .nesterov = given.value("nesterov", false),
          .maximize = given.value("maximize", false)};
}

std::unique_ptr<Optimizer> made(const nlohmann::json& options, const std::vector<Parameter>& parameters) {
  const auto name = options.at("optimizer").get<std::string>();
  if (name == "SGD") return std::make_unique<SGD>(parameters, sgd_options(options));
  if (name == "Adam") return std::make_unique<Adam>(parameters, adam_options<AdamOptions>(options));
  if (name == "AdamW") return std::make_unique<AdamW>(parameters, adam_options<AdamWOptions>(options));
  if (name == "RMSprop") return std::make_unique<RMSprop>(parameters, rmsprop_options(options));
  if (name == "Muon") return std::make_unique<Muon>(parameters, muon_options(options));
  throw std::invalid_argument("no optimizer is called " + name);
}

class OptimizersGoldenTest : public DeviceTest {};
INSTANTIATE_TEST_SUITE_P(Devices, OptimizersGoldenTest, devices(), device_name);

TEST_P(OptimizersGoldenTest, GiveWhatPyTorchGivesAfter12Steps) {
  std::vector<GoldenCase> cases = golden_cases("optimizers");
  for (GoldenCase& more : golden_cases("more_optimizers")) cases.push_back(std::move(more));
  ASSERT_EQ(cases.size(), 29U);
  for (const GoldenCase& recorded : cases) {
    SCOPED_TRACE("case " + recorded.name);
    std::vector<Parameter> parameters;
    const StateDict start = recorded.with_prefix("start.");
    std::vector<std::string> names;
    for (const auto& [name, tensor] : start) {
      names.push_back(name);
      parameters.emplace_back(tensor.shape(), Init{});
      parameters.back().set_value(tensor);
    }
    Arena::pack(parameters, names, 0, device());
    const std::unique_ptr<Optimizer> optimizer = made(recorded.options, parameters);
    for (int step = 0; step < 12; ++step) {
      for (Parameter& parameter : parameters) {
        parameter.zero_grad();
        parameter.accumulate_grad(recorded.at(fmt::format("grad.{}.{}", step, parameter.name())));
      }
      optimizer->step();
    }
    const StateDict state = optimizer->state_dict();
    for (const Parameter& parameter : parameters) {
      expect_golden(parameter.value(), recorded.at("end." + parameter.name()), parameter.name());
    }
    const StateDict recorded_state = recorded.with_prefix("state.");
    for (const auto& [name, expected] : recorded_state) expect_golden(state.at(name), expected, name);
    EXPECT_EQ(state.size(), recorded_state.size() + parameters.size()) << "besides the steps";
  }
}

}  // namespace
}  // namespace gpucnn
