// What losses refuse, each in words that name the loss, the values and the rule.
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/layers/losses/bce_with_logits_loss.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/losses/l1_loss.h>
#include <gpucnn/layers/losses/mse_loss.h>
#include <gpucnn/layers/losses/smooth_l1_loss.h>

#include "layers/layers.h"
#include "misuse.h"

namespace gpucnn {
namespace {

struct Refusal {
  std::function<void(Device)> call;
  std::string words;
};

Tensor of(const Shape& shape, Device device, DType dtype = DType::f32) { return Tensor::zeros(shape, dtype, device); }

/// A call of `loss` with x [2, 3] and these targets.
template <class MadeLoss>
std::function<void(Device)> called(MadeLoss loss, const Shape& targets, DType dtype = DType::f32) {
  const auto held = std::make_shared<MadeLoss>(std::move(loss));
  return [=](Device device) { (*held)(of({2, 3}, device), of(targets, device, dtype)).item(); };
}

std::vector<Refusal> refusals() {
  const Tensor two = Tensor::zeros({2}), three = Tensor::zeros({3}), table = Tensor::zeros({3, 1});
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  return {
      {[](Device) { CrossEntropyLoss({.label_smoothing = -0.1}); },
       "CrossEntropyLoss: label_smoothing must be in [0, 1], got -0.1"},
      {[](Device) { CrossEntropyLoss({.label_smoothing = kNan}); }, "CrossEntropyLoss: label_smoothing must be in [0, 1], got nan"},
      {[=](Device) { CrossEntropyLoss({.weight = table}); }, "CrossEntropyLoss: weight must be f32 [C], got f32 [3, 1]"},
      {[](Device) { CrossEntropyLoss({.weight = Tensor::zeros({3}, DType::i32)}); },
       "CrossEntropyLoss: weight must be f32 [C], got i32 [3]"},
      {called(CrossEntropyLoss({.weight = two}), {2}, DType::i32),
       "CrossEntropyLoss: the weight is for 2 classes, the logits [2, 3] have 3"},
      {called(CrossEntropyLoss({.ignore_index = 1}), {2, 3}),
       "CrossEntropyLoss: probabilities have no label to ignore, but ignore_index is 1"},
      {called(CrossEntropyLoss(), {3}, DType::i64),
       "CrossEntropyLoss: expects logits [N, C] and labels [N] or probabilities [N, C], got [2, 3] and [3]"},
      {called(CrossEntropyLoss(), {2, 4}), "got [2, 3] and [2, 4]"},
      {called(CrossEntropyLoss(), {2, 3}, DType::i32), "got [2, 3] and [2, 3]"},
      {[](Device device) {
         CrossEntropyLoss()(of({2, 3}, device), Tensor{});
       },
       "got [2, 3] and undefined"},
      {called(CrossEntropyLoss(), {2}, DType::f32), "CrossEntropyLoss: labels must be u8, i32 or i64, got f32"},
      {[](Device device) {
         MSELoss()(of({2, 3}, device), Tensor{});
       },
       "MSELoss: expects f32 targets of the input's shape [2, 3], got undefined"},
      {called(MSELoss(), {3, 2}), "MSELoss: expects f32 targets of the input's shape [2, 3], got f32 [3, 2]"},
      {called(MSELoss(), {2, 3}, DType::i32), "MSELoss: expects f32 targets of the input's shape [2, 3], got i32 [2, 3]"},
      {called(L1Loss(Reduction::sum), {2}), "L1Loss: expects f32 targets of the input's shape [2, 3], got f32 [2]"},
      {called(SmoothL1Loss(), {2, 3, 1}), "SmoothL1Loss: expects f32 targets"},
      {[](Device) { SmoothL1Loss({.beta = -0.5}); }, "SmoothL1Loss: beta must be at least 0, got -0.5"},
      {[](Device) { SmoothL1Loss({.beta = kNan}); }, "SmoothL1Loss: beta must be at least 0, got nan"},
      {called(BCEWithLogitsLoss(), {2}), "BCEWithLogitsLoss: expects f32 targets"},
      {called(BCEWithLogitsLoss({.weight = two}), {2, 3}),
       "BCEWithLogitsLoss: a weight of classes must be f32 [C] for an input [N, C], got [2] for [2, 3]"},
      {[=](Device) { BCEWithLogitsLoss({.pos_weight = table}); }, "BCEWithLogitsLoss: pos_weight must be f32 [C], got f32 [3, 1]"},
      {[=](Device device) { BCEWithLogitsLoss({.pos_weight = three})(of({3}, device), of({3}, device)); },
       "BCEWithLogitsLoss: a weight of classes must be f32 [C] for an input [N, C], got [3] for [3]"},
      {[](Device) { BCEWithLogitsLoss({.weight = Tensor::zeros({3}, DType::i32)}); },
       "BCEWithLogitsLoss: weight must be f32 [C], got i32 [3]"},
  };
}

class LossRefusals : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, LossRefusals, devices(), device_name);

TEST(Losses, NameThemselvesForALabelOutside) {
  CrossEntropyLoss loss;
  const Tensor labels = Tensor::from(std::vector<std::int64_t>{0, 3}, {2});
  EXPECT_THAT([&] { loss(Tensor::zeros({2, 3}), labels); }, misuse("CrossEntropyLoss: label 3 at index 1 is outside [0, 3)"));
}

TEST_P(LossRefusals, NameTheLossTheValuesAndTheRule) {
  for (const Refusal& refusal : refusals()) {
    SCOPED_TRACE(refusal.words);
    EXPECT_THAT([&] { refusal.call(device()); }, misuse(refusal.words));
  }
}

}  // namespace
}  // namespace gpucnn
