// Every schedule over 200 steps, with several groups, against what PyTorch's is: tests/golden/cases/record_schedules.py.
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/schedules/constant_lr.h>
#include <gpucnn/optim/schedules/cosine_annealing_lr.h>
#include <gpucnn/optim/schedules/cosine_annealing_warm_restarts.h>
#include <gpucnn/optim/schedules/exponential_lr.h>
#include <gpucnn/optim/schedules/lambda_lr.h>
#include <gpucnn/optim/schedules/linear_lr.h>
#include <gpucnn/optim/schedules/one_cycle_lr.h>
#include <gpucnn/optim/schedules/polynomial_lr.h>
#include <gpucnn/optim/schedules/reduce_lr_on_plateau.h>
#include <gpucnn/optim/schedules/sequential_lr.h>
#include <gpucnn/optim/schedules/step_lr.h>
#include <gpucnn/optim/sgd.h>

#include "optim/parameters.h"

namespace gpucnn {
namespace {

using nlohmann::json;

const json& recorded() {
  static const json all = json::parse(std::ifstream("golden/cases/schedules.json"));
  return all.at("cases");
}

/// An option where the case names it; else our default stands, which is then held against PyTorch's.
template <class T>
void set(const json& options, const char* name, T& value) {
  if (options.contains(name)) value = options.at(name).get<T>();
}

void set(const json& options, const char* name, std::optional<std::int64_t>& value) {
  if (options.contains(name)) value = options.at(name).get<std::int64_t>();
}

void set(const json& options, const char* name, PerGroup& value) {
  if (!options.contains(name)) return;
  const json& given = options.at(name);
  value = given.is_array() ? PerGroup(given.get<std::vector<double>>()) : PerGroup(given.get<double>());
}

/// Schedules of one case, a sequence behind its parts.
using Schedules = std::vector<std::unique_ptr<LRScheduler>>;

double factor(const std::string& name, std::int64_t step) {
  if (name == "0.95^step") return std::pow(0.95, static_cast<double>(step));
  if (name == "1/(1+step)") return 1 / (1 + static_cast<double>(step));
  throw std::out_of_range(name);
}

std::unique_ptr<LRScheduler> one_cycle(Optimizer& optimizer, const json& o) {
  OneCycleLROptions options{.max_lr = 0.0};
  set(o, "max_lr", options.max_lr);
  set(o, "total_steps", options.total_steps);
  set(o, "epochs", options.epochs);
  set(o, "steps_per_epoch", options.steps_per_epoch);
  set(o, "pct_start", options.pct_start);
  if (o.value("anneal_strategy", "cos") == "linear") options.anneal_strategy = AnnealStrategy::linear;
  set(o, "cycle_momentum", options.cycle_momentum);
  set(o, "base_momentum", options.base_momentum);
  set(o, "max_momentum", options.max_momentum);
  set(o, "div_factor", options.div_factor);
  set(o, "final_div_factor", options.final_div_factor);
  set(o, "three_phase", options.three_phase);
  return std::make_unique<OneCycleLR>(optimizer, options);
}

std::unique_ptr<LRScheduler> plateau(Optimizer& optimizer, const json& o) {
  ReduceLROnPlateauOptions options;
  if (o.value("mode", "min") == "max") options.mode = PlateauMode::max;
  set(o, "factor", options.factor);
  set(o, "patience", options.patience);
  set(o, "threshold", options.threshold);
  if (o.value("threshold_mode", "rel") == "abs") options.threshold_mode = ThresholdMode::abs;
  set(o, "cooldown", options.cooldown);
  set(o, "min_lr", options.min_lr);
  set(o, "eps", options.eps);
  return std::make_unique<ReduceLROnPlateau>(optimizer, options);
}

std::unique_ptr<LRScheduler> lambda(Optimizer& optimizer, const json& names) {
  std::vector<LambdaLR::Factor> factors;
  for (const std::string name : names) factors.emplace_back([name](std::int64_t step) { return factor(name, step); });
  if (factors.size() == 1) return std::make_unique<LambdaLR>(optimizer, factors.front());
  return std::make_unique<LambdaLR>(optimizer, factors);
}

/// A schedule whose options are numbers.
std::unique_ptr<LRScheduler> plain(Optimizer& optimizer, const std::string& name, const json& o) {
  if (name == "ConstantLR") {
    ConstantLROptions options;
    set(o, "factor", options.factor);
    set(o, "total_iters", options.total_iters);
    return std::make_unique<ConstantLR>(optimizer, options);
  }
  if (name == "LinearLR") {
    LinearLROptions options;
    set(o, "start_factor", options.start_factor);
    set(o, "end_factor", options.end_factor);
    set(o, "total_iters", options.total_iters);
    return std::make_unique<LinearLR>(optimizer, options);
  }
  if (name == "StepLR") {
    StepLROptions options{.step_size = 0};
    set(o, "step_size", options.step_size);
    set(o, "gamma", options.gamma);
    return std::make_unique<StepLR>(optimizer, options);
  }
  if (name == "MultiStepLR") {
    MultiStepLROptions options{.milestones = {}};
    set(o, "milestones", options.milestones);
    set(o, "gamma", options.gamma);
    return std::make_unique<MultiStepLR>(optimizer, options);
  }
  if (name == "ExponentialLR") return std::make_unique<ExponentialLR>(optimizer, o.at("gamma").get<double>());
  if (name == "PolynomialLR") {
    PolynomialLROptions options;
    set(o, "total_iters", options.total_iters);
    set(o, "power", options.power);
    return std::make_unique<PolynomialLR>(optimizer, options);
  }
  if (name == "CosineAnnealingLR") {
    CosineAnnealingLROptions options{.T_max = 0};
    set(o, "T_max", options.T_max);
    set(o, "eta_min", options.eta_min);
    return std::make_unique<CosineAnnealingLR>(optimizer, options);
  }
  CosineAnnealingWarmRestartsOptions options{.T_0 = 0};
  set(o, "T_0", options.T_0);
  set(o, "T_mult", options.T_mult);
  set(o, "eta_min", options.eta_min);
  if (name != "CosineAnnealingWarmRestarts") throw std::out_of_range(name);
  return std::make_unique<CosineAnnealingWarmRestarts>(optimizer, options);
}

void make(Optimizer& optimizer, const json& recipe, Schedules& all) {
  const std::string name = recipe.at("class");
  if (name == "SequentialLR") {
    std::vector<std::reference_wrapper<LRScheduler>> parts;
    for (const json& part : recipe.at("schedules")) {
      make(optimizer, part, all);
      parts.emplace_back(*all.back());
    }
    all.push_back(std::make_unique<SequentialLR>(optimizer, parts, recipe.at("milestones").get<std::vector<std::int64_t>>()));
  } else if (name == "LambdaLR") {
    all.push_back(lambda(optimizer, recipe.at("lr_lambda")));
  } else if (name == "OneCycleLR") {
    all.push_back(one_cycle(optimizer, recipe.at("options")));
  } else if (name == "ReduceLROnPlateau") {
    all.push_back(plateau(optimizer, recipe.at("options")));
  } else {
    all.push_back(plain(optimizer, name, recipe.at("options")));
  }
}

/// A case's optimizer and schedules.
class Case {
 public:
  explicit Case(const json& recorded) : case_(recorded) {
    const std::vector<double> lrs = case_.at("base");
    const std::vector<Parameter> parameters = packed(std::vector<Shape>(lrs.size(), Shape{2}));
    std::vector<ParameterGroup<SGDOptions>> sgd;
    std::vector<ParameterGroup<AdamOptions>> adam;
    for (std::size_t i = 0; i < lrs.size(); ++i) {
      sgd.push_back({{parameters[i]}, {.lr = lrs[i], .momentum = 0.9}});
      adam.push_back({{parameters[i]}, {.lr = lrs[i]}});
    }
    if (case_.at("optimizer") == "Adam") {
      optimizer_ = std::make_unique<Adam>(adam);
    } else {
      optimizer_ = std::make_unique<SGD>(sgd);
    }
    for (const json& recipe : case_.at("schedules")) {
      make(*optimizer_, recipe, all_);
      stepped_.push_back(all_.back().get());
    }
  }

  Optimizer& optimizer() { return *optimizer_; }
  const std::vector<LRScheduler*>& stepped() const { return stepped_; }

  void step(std::size_t step) {
    for (LRScheduler* scheduler : stepped_) {
      if (!case_.contains("metrics")) {
        scheduler->step();
        continue;
      }
      const json& metric = case_.at("metrics").at(step);
      dynamic_cast<ReduceLROnPlateau&>(*scheduler)
          .step(metric.is_null() ? std::numeric_limits<double>::quiet_NaN() : metric.get<double>());
    }
  }

 private:
  const json& case_;
  std::unique_ptr<Optimizer> optimizer_;
  Schedules all_;
  std::vector<LRScheduler*> stepped_;
};

/// Of each step; behind a number, -n says that it comes n times more.
std::vector<double> unfolded(const json& values) {
  std::vector<double> all;
  for (const double value : values) {
    const double last = all.empty() ? value : all.back();
    if (value < 0) {
      all.insert(all.end(), static_cast<std::size_t>(-value), last);
    } else {
      all.push_back(value);
    }
  }
  return all;
}

/// Formulas are PyTorch's, in its order, and the rounding is the C library's.
void expect_same(double value, double expected) { EXPECT_NEAR(value, expected, 1e-12 * std::abs(expected) + 1e-18); }

/// Steps `here` from step `first` on, and holds it against the record.
void follow(Case& here, const json& recorded, std::size_t first, std::size_t last) {
  const std::size_t groups = here.optimizer().groups();
  std::vector<std::vector<double>> lrs, momenta;
  for (const json& values : recorded.at("lr")) lrs.push_back(unfolded(values));
  if (recorded.contains("momentum")) {
    for (const json& values : recorded.at("momentum")) momenta.push_back(unfolded(values));
  }
  ASSERT_EQ(lrs.size(), groups);
  for (std::size_t step = first; step <= std::min(last, lrs[0].size() - 1); ++step) {
    SCOPED_TRACE(step);
    if (step > first) here.step(step - 1);
    for (std::size_t group = 0; group < groups; ++group) {
      expect_same(here.optimizer().lr(group), lrs[group].at(step));
      EXPECT_EQ(here.stepped().back()->last_lr().at(group), here.optimizer().lr(group));
      if (!momenta.empty()) expect_same(here.optimizer().momentum(group), momenta[group].at(step));
    }
    EXPECT_EQ(here.stepped().back()->steps(), static_cast<std::int64_t>(step));
    if (testing::Test::HasFailure()) return;
  }
}

class SchedulesGolden : public testing::TestWithParam<std::size_t> {
 protected:
  const json& recorded_case = recorded().at(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Cases, SchedulesGolden, testing::Range(std::size_t{0}, std::size_t{35}), [](const auto& tested) {
  std::string name = recorded().at(tested.param).at("name");
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
});

TEST(SchedulesGoldenItself, HasAllCasesAndSteps) {
  EXPECT_EQ(recorded().size(), 35U);
  for (const json& each : recorded()) EXPECT_GE(unfolded(each.at("lr").at(0)).size(), 200U);
}

TEST_P(SchedulesGolden, IsPyTorchsOver200Steps) {
  SCOPED_TRACE(recorded_case.at("name"));
  Case here(recorded_case);
  follow(here, recorded_case, 0, 200);
}

TEST_P(SchedulesGolden, GoesOnFromItsState) {
  for (const std::size_t resumed : {std::size_t{0}, std::size_t{17}, std::size_t{61}, std::size_t{133}}) {
    SCOPED_TRACE(resumed);
    Case until(recorded_case), here(recorded_case);
    follow(until, recorded_case, 0, resumed);
    here.step(0);
    for (std::size_t i = 0; i < here.stepped().size(); ++i) here.stepped()[i]->set_state(until.stepped()[i]->state());
    follow(here, recorded_case, resumed, 200);
  }
}

}  // namespace
}  // namespace gpucnn
