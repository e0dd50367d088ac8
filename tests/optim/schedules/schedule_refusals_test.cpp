// What schedules refuse, each in words that name the schedule, the option, the value and the rule.
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

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

#include "misuse.h"
#include "optim/parameters.h"

namespace gpucnn {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();

struct Refusal {
  std::function<void(Optimizer&)> construct;
  std::string words;
};

/// A schedule of `optimizer` with these options.
template <class Schedule, class Options>
std::function<void(Optimizer&)> with(const Options& options) {
  return [=](Optimizer& optimizer) { Schedule(optimizer, options); };
}

OneCycleLROptions one_cycle(void (*change)(OneCycleLROptions&)) {
  OneCycleLROptions options{.max_lr = 0.1, .total_steps = 10};
  change(options);
  return options;
}

using ListOfDoubles = std::vector<double>;
constexpr auto kDouble = [](std::int64_t) { return 2.0; };

const Refusal kRefusals[] = {
    {with<ConstantLR>(ConstantLROptions{.factor = 1.5}), "ConstantLR: factor must be in [0, 1], got 1.5"},
    {with<ConstantLR>(ConstantLROptions{.factor = kNan}), "ConstantLR: factor must be in [0, 1], got nan"},
    {with<ConstantLR>(ConstantLROptions{.total_iters = 0}), "ConstantLR: total_iters must be at least 1, got 0"},
    {with<LinearLR>(LinearLROptions{.start_factor = 0}), "LinearLR: start_factor must be in (0, 1], got 0"},
    {with<LinearLR>(LinearLROptions{.end_factor = -1}), "LinearLR: end_factor must be in [0, 1], got -1"},
    {with<LinearLR>(LinearLROptions{.total_iters = -3}), "LinearLR: total_iters must be at least 1, got -3"},
    {with<StepLR>(StepLROptions{.step_size = 0}), "StepLR: step_size must be at least 1, got 0"},
    {with<StepLR>(StepLROptions{.step_size = 1, .gamma = -0.1}), "StepLR: gamma must be finite and not negative, got -0.1"},
    {with<MultiStepLR>(MultiStepLROptions{.milestones = {3, -1}}), "MultiStepLR: a milestone must be at least 0, got -1"},
    {with<MultiStepLR>(MultiStepLROptions{.milestones = {}, .gamma = kInfinity}), "MultiStepLR: gamma must be finite"},
    {with<ExponentialLR>(-1.0), "ExponentialLR: gamma must be finite and not negative, got -1"},
    {with<ExponentialLR>(kNan), "ExponentialLR: gamma must be finite and not negative, got nan"},
    {with<PolynomialLR>(PolynomialLROptions{.total_iters = 0}), "PolynomialLR: total_iters must be at least 1, got 0"},
    {with<PolynomialLR>(PolynomialLROptions{.power = -2}), "PolynomialLR: power must be finite and not negative, got -2"},
    {with<CosineAnnealingLR>(CosineAnnealingLROptions{.T_max = 0}), "CosineAnnealingLR: T_max must be at least 1, got 0"},
    {with<CosineAnnealingLR>(CosineAnnealingLROptions{.T_max = 1, .eta_min = -1e-3}), "CosineAnnealingLR: eta_min must be"},
    {with<CosineAnnealingWarmRestarts>(CosineAnnealingWarmRestartsOptions{.T_0 = 0}),
     "CosineAnnealingWarmRestarts: T_0 must be at least 1, got 0"},
    {with<CosineAnnealingWarmRestarts>(CosineAnnealingWarmRestartsOptions{.T_0 = 2, .T_mult = 0}),
     "CosineAnnealingWarmRestarts: T_mult must be at least 1, got 0"},
    {with<CosineAnnealingWarmRestarts>(CosineAnnealingWarmRestartsOptions{.T_0 = 2, .eta_min = kInfinity}),
     "CosineAnnealingWarmRestarts: eta_min must be"},
    {with<OneCycleLR>(one_cycle([](auto& o) { o.max_lr = -0.1; })), "OneCycleLR: max_lr must be finite in f32 and not negative"},
    {with<OneCycleLR>(one_cycle([](auto& o) { o.max_lr = 1e300; })), "OneCycleLR: max_lr must be finite in f32"},
    {with<OneCycleLR>(one_cycle([](auto& o) {
       o.max_lr = ListOfDoubles{1, 2, 3};
     })),
     "OneCycleLR: max_lr must be one number or one for each parameter group, got 3 for 2 groups"},
    {with<OneCycleLR>(one_cycle([](auto& o) { o.total_steps = 0; })), "OneCycleLR: total_steps must be at least 1, got 0"},
    {with<OneCycleLR>(one_cycle([](auto& o) { o.total_steps = {}; })),
     "OneCycleLR: total_steps must be given, or epochs and steps_per_epoch"},
    {with<OneCycleLR>(OneCycleLROptions{.max_lr = 0.1, .epochs = 0, .steps_per_epoch = 2}),
     "OneCycleLR: epochs must be at least 1"},
    {with<OneCycleLR>(OneCycleLROptions{.max_lr = 0.1, .epochs = 2, .steps_per_epoch = -1}),
     "OneCycleLR: steps_per_epoch must be at least 1, got -1"},
    {with<OneCycleLR>(OneCycleLROptions{.max_lr = 0.1, .epochs = 1L << 40, .steps_per_epoch = 1L << 40}),
     "OneCycleLR: epochs * steps_per_epoch must be a number of steps"},
    {with<OneCycleLR>(one_cycle([](auto& o) { o.pct_start = 1.1; })), "OneCycleLR: pct_start must be in [0, 1], got 1.1"},
    {with<OneCycleLR>(one_cycle([](auto& o) { o.div_factor = 0; })), "OneCycleLR: div_factor must be finite and above 0, got 0"},
    {with<OneCycleLR>(one_cycle([](auto& o) { o.final_div_factor = -1; })),
     "OneCycleLR: final_div_factor must be finite and above 0"},
    {with<OneCycleLR>(one_cycle([](auto& o) { o.base_momentum = 1.0; })), "OneCycleLR: base_momentum must be in [0, 1), got 1"},
    {with<OneCycleLR>(one_cycle([](auto& o) { o.max_momentum = -0.1; })), "OneCycleLR: max_momentum must be in [0, 1), got -0.1"},
    {with<ReduceLROnPlateau>(ReduceLROnPlateauOptions{.factor = 1}), "ReduceLROnPlateau: factor must be in [0, 1), got 1"},
    {with<ReduceLROnPlateau>(ReduceLROnPlateauOptions{.patience = -1}),
     "ReduceLROnPlateau: patience must be finite and not negative"},
    {with<ReduceLROnPlateau>(ReduceLROnPlateauOptions{.threshold = kNan}), "ReduceLROnPlateau: threshold must be"},
    {with<ReduceLROnPlateau>(ReduceLROnPlateauOptions{.cooldown = -2}), "ReduceLROnPlateau: cooldown must be"},
    {with<ReduceLROnPlateau>(ReduceLROnPlateauOptions{.min_lr = -1.0}), "ReduceLROnPlateau: min_lr must be"},
    {with<ReduceLROnPlateau>(ReduceLROnPlateauOptions{.min_lr = ListOfDoubles{1, 2, 3}}),
     "min_lr must be one number or one for each"},
    {with<ReduceLROnPlateau>(ReduceLROnPlateauOptions{.eps = -1e-9}), "ReduceLROnPlateau: eps must be"},
    {with<LambdaLR>(LambdaLR::Factor()), "LambdaLR: lr_lambda must not be empty"},
    {with<LambdaLR>(std::vector<LambdaLR::Factor>{kDouble}),
     "LambdaLR: lr_lambda must be one function or one for each parameter group"},
    {with<LambdaLR>(LambdaLR::Factor([](std::int64_t) { return -1.0; })), "LRScheduler: lr must be finite in f32 and not negative"},
};

/// Two groups, the rates 0.5 and 0.25.
SGD optimizer_of_two() {
  const std::vector<Parameter> parameters = packed({{2}, {3}});
  return SGD({{{parameters[0]}, {.lr = 0.5, .momentum = 0.9}}, {{parameters[1]}, {.lr = 0.25, .momentum = 0.8}}});
}

TEST(ScheduleRefusals, NameTheScheduleTheValueAndTheRuleAndLeaveTheOptimizerAlone) {
  SGD optimizer = optimizer_of_two();
  for (const Refusal& refusal : kRefusals) {
    SCOPED_TRACE(refusal.words);
    EXPECT_THAT([&] { refusal.construct(optimizer); }, misuse(refusal.words));
    EXPECT_EQ(optimizer.lr(0), 0.5);
    EXPECT_EQ(optimizer.lr(1), 0.25);
    EXPECT_EQ(optimizer.momentum(0), 0.9);
  }
}

TEST(ScheduleRefusals, OneCycleNeedsAMomentumAndEnds) {
  SGD without({packed({{2}})[0]}, {.lr = 0.1});
  EXPECT_THAT([&] { OneCycleLR(without, {.max_lr = 0.1, .total_steps = 5}); }, misuse("OneCycleLR: cycle_momentum must be false"));
  SGD optimizer = optimizer_of_two();
  OneCycleLR schedule(optimizer, {.max_lr = 0.1, .total_steps = 2});
  schedule.step();
  schedule.step();
  EXPECT_THAT([&] { schedule.step(); }, misuse("OneCycleLR: step 3 is beyond total_steps, 2"));
  EXPECT_EQ(schedule.steps(), 2);
}

TEST(ScheduleRefusals, OfSequencesAndStates) {
  SGD optimizer = optimizer_of_two(), other = optimizer_of_two();
  ExponentialLR a(optimizer, 0.5), b(optimizer, 0.9), of_other(other, 0.5);
  ReduceLROnPlateau plateau(optimizer);
  const auto sequence = [&](std::vector<std::reference_wrapper<LRScheduler>> parts, std::vector<std::int64_t> milestones) {
    return [&, parts, milestones] { SequentialLR(optimizer, parts, milestones); };
  };
  EXPECT_THAT(sequence({}, {}), misuse("SequentialLR: there is no schedule"));
  EXPECT_THAT(sequence({a, plateau}, {3}), misuse("SequentialLR: schedule 1 is a ReduceLROnPlateau, which wants a metric"));
  EXPECT_THAT(sequence({a, of_other}, {3}), misuse("SequentialLR: schedule 1 is of another optimizer"));
  EXPECT_THAT(sequence({a, b}, {}), misuse("SequentialLR: 2 schedules want 1 milestones, got 0"));
  EXPECT_THAT(sequence({a, b}, {-1}), misuse("SequentialLR: a milestone must be at least 0, got -1"));
  EXPECT_THAT(sequence({a, b, a}, {5, 4}), misuse("SequentialLR: a milestone must be at least 5, got 4"));
  EXPECT_THAT([&] { a.set_state({1, 2}); }, misuse("LRScheduler::set_state: got 2 numbers, expects"));
  EXPECT_THROW(plateau.LRScheduler::step(), std::logic_error);
  EXPECT_EQ(plateau.steps(), 0);
}

TEST(ScheduleRefusals, OfStatesChangeNothing) {
  SGD optimizer = optimizer_of_two();
  ExponentialLR first(optimizer, 0.5), second(optimizer, 0.9);
  SequentialLR sequence(optimizer, {first, second}, {3});
  ReduceLROnPlateau plateau(optimizer);
  const auto refuses = [&](LRScheduler& scheduler, std::size_t from_the_end, double number, const std::string& words) {
    const std::vector<double> before = scheduler.state();
    std::vector<double> numbers = before;
    numbers[0] = 2;
    numbers[1] = numbers[3] = 0.125;  // a base rate and a rate
    numbers[numbers.size() - from_the_end] = number;
    EXPECT_THAT([&] { scheduler.set_state(numbers); }, misuse(words));
    EXPECT_EQ(scheduler.state(), before);
    EXPECT_EQ(optimizer.lr(0), 0.5);
  };
  refuses(sequence, 1, kNan, "LRScheduler: lr must be finite in f32 and not negative, got nan");
  refuses(sequence, 4, kInfinity, "LRScheduler::set_state: a base rate must be finite, got inf");
  refuses(sequence, 5, 0.5, "LRScheduler::set_state: steps must be a count, got 0.5");
  refuses(plateau, 3, kNan, "ReduceLROnPlateau::set_state: the best metric must be a number, got nan");
  refuses(plateau, 2, -1, "ReduceLROnPlateau::set_state: the steps without a better metric must be a count, got -1");
  refuses(plateau, 1, -1, "ReduceLROnPlateau::set_state: the cooldown must be a count, got -1");
}

}  // namespace
}  // namespace gpucnn
