#include <memory>

#include <gtest/gtest.h>

#include <gpucnn/layers/losses/bce_with_logits_loss.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/layers/losses/l1_loss.h>
#include <gpucnn/layers/losses/mse_loss.h>
#include <gpucnn/layers/losses/smooth_l1_loss.h>

#include "golden_case.h"
#include "layers/layers.h"

namespace gpucnn {
namespace {

class LossesGoldenTest : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, LossesGoldenTest, devices(), device_name);

Reduction reduction_of(const GoldenCase& recorded) {
  return recorded.options.at("reduction") == "sum" ? Reduction::sum : Reduction::mean;
}

std::unique_ptr<Loss> loss_of(const GoldenCase& recorded) {
  const Tensor weight = recorded.has("weight") ? recorded.at("weight") : Tensor{};
  const Reduction reduction = reduction_of(recorded);
  const std::string kind = recorded.options.at("layer");
  if (kind == "MSELoss") return std::make_unique<MSELoss>(reduction);
  if (kind == "L1Loss") return std::make_unique<L1Loss>(reduction);
  if (kind == "SmoothL1Loss") {
    return std::make_unique<SmoothL1Loss>(SmoothL1LossOptions{reduction, recorded.options.at("beta").get<double>()});
  }
  if (kind == "BCEWithLogitsLoss") {
    const Tensor pos_weight = recorded.has("pos_weight") ? recorded.at("pos_weight") : Tensor{};
    return std::make_unique<BCEWithLogitsLoss>(BCEWithLogitsLossOptions{weight, reduction, pos_weight});
  }
  return std::make_unique<CrossEntropyLoss>(
      CrossEntropyLossOptions{.weight = weight,
                              .ignore_index = recorded.options.value("ignore_index", -100),
                              .reduction = reduction,
                              .label_smoothing = recorded.options.at("label_smoothing").get<double>()});
}

TEST_P(LossesGoldenTest, AreThoseThatPyTorchRecorded) {
  const std::vector<GoldenCase> cases = golden_cases("losses");
  EXPECT_GE(cases.size(), 50U);
  for (const GoldenCase& recorded : cases) {
    SCOPED_TRACE(recorded.name + ": " + recorded.options.dump());
    const std::unique_ptr<Loss> loss = loss_of(recorded);
    ASSERT_NO_FATAL_FAILURE(
        expect_golden((*loss)(recorded.at("x", device()), recorded.at("target", device())), recorded.at("y"), "the loss"));
    ASSERT_NO_FATAL_FAILURE(expect_golden(loss->backward(), recorded.at("dx"), "the gradient"));
  }
}

}  // namespace
}  // namespace gpucnn
