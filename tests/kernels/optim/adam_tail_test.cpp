// The kernel in which a captured step ends, against add_slices and adam one after the other.
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/gpu/graph_capture.h>
#include <gpucnn/kernels/cuda/slice_sums.h>
#include <gpucnn/kernels/cuda/step_tail.h>
#include <gpucnn/kernels/optim/adam.h>

#include "device_test.h"

namespace gpucnn::kernels {
namespace {

using cuda::SliceSums;
using cuda::StepTail;

/// Sums of a layer's gradients, and where in the arena they go.
struct Layer {
  std::int64_t slices, weights, biases;  // biases: 0 without
  std::int64_t weight_at, bias_at;
  bool accumulate = false;
};

constexpr std::int64_t kElements = 9000;  // of the arena

/// What blocks leave of a loss: kernels/cuda/loss_parts.h.
struct Part {
  double loss;
  std::int64_t correct, ignored;
};

struct Report {
  std::int64_t number, correct, images, ignored, failed;
  double loss;
};
static_assert(sizeof(Report) == sizeof(gpu::StepReport));

class AdamTailTest : public DeviceTest {
 protected:
  struct Arena {
    Tensor gradients, weights, m, v;

    std::vector<std::vector<float>> values() const {
      return {gradients.to_vector<float>(), weights.to_vector<float>(), m.to_vector<float>(), v.to_vector<float>()};
    }
  };

  Arena arena() const {
    return {Tensor::randn({kElements}, 1, device()), Tensor::randn({kElements}, 2, device()),
            Tensor::randn({kElements}, 3, device()), Tensor::zeros({kElements}, DType::f32, device())};
  }

  std::vector<Tensor> slices_of(const std::vector<Layer>& layers) const {
    std::vector<Tensor> all;
    for (const Layer& layer : layers) {
      all.push_back(Tensor::randn({layer.slices, layer.weights + layer.biases}, 10 + all.size(), device()));
    }
    return all;
  }

  void add(const std::vector<Layer>& layers, const std::vector<Tensor>& slices, const Tensor& gradients) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Layer& layer = layers[i];
      Tensor weight = gradients.view(layer.weight_at, {layer.weights});
      Tensor bias = layer.biases > 0 ? gradients.view(layer.bias_at, {layer.biases}) : Tensor{};
      cuda::add_slices(slices[i], {layer.weights, layer.weights + layer.biases}, {weight, layer.accumulate},
                       {bias, layer.accumulate}, /*may_wait=*/true, stream());
    }
  }

  static void update(Arena& a, std::int64_t step, bool is_whole, Stream& stream) {
    const AdamStep options{
        .lr = 0.125, .beta1 = 0.75, .beta2 = 0.875, .eps = 1e-3, .weight_decay = 0.01, .step = step, .is_whole = is_whole};
    adam(a.gradients, options, a.weights, a.m, a.v, stream);
  }

  Tensor state_memory(const StepState& state) const {
    std::vector<std::uint8_t> bytes(sizeof state);
    std::memcpy(bytes.data(), &state, sizeof state);
    return tensor(bytes, {bytes.size()});
  }
  template <class T>
  static T read(const Tensor& memory, std::size_t at = 0) {
    const std::vector<std::uint8_t> bytes = memory.to_vector<std::uint8_t>();
    T value;
    std::memcpy(&value, bytes.data() + at * sizeof value, sizeof value);
    return value;
  }
  Tensor parts_of(const std::vector<Part>& parts) const {
    std::vector<std::uint8_t> bytes(parts.size() * sizeof(Part));
    std::memcpy(bytes.data(), parts.data(), bytes.size());
    return tensor(bytes, {parts.size(), sizeof(Part)});
  }

  /// A captured step's end, replayed once.
  struct Replayed {
    Arena arena;
    StepState state;
    std::vector<Report> reports;
    bool closed;
  };
  static constexpr std::int64_t kSlots = 4, kImages = 20;

  Replayed replay(const std::vector<Layer>& layers, const std::vector<Part>& parts, StepState now, bool is_whole = true) {
    Replayed result{arena(), {}, {}, false};
    const std::vector<Tensor> slices = slices_of(layers);
    now.lr[0] = 0.125;
    now.momentum[0] = 0.75;
    const Tensor memory = state_memory(now), reports = Tensor::zeros({kSlots * std::int64_t{sizeof(Report)}}, DType::u8, device());
    auto* const state = reinterpret_cast<StepState*>(Tensor(memory).bytes());
    std::optional<StepTail::Report> report;
    if (!parts.empty()) report = {parts_of(parts), kImages, reinterpret_cast<gpu::StepReport*>(Tensor(reports).bytes()), kSlots};
    std::optional<gpu::Capture> capture(std::in_place, device(), state);
    {
      StepTail tail(state, report, {kImages, true});
      add(layers, slices, result.arena.gradients);
      update(result.arena, 1, is_whole, stream());
      tail.flush(stream());
      result.closed = tail.is_closed();
    }
    EXPECT_EQ(StepTail::open(), nullptr);
    const std::unique_ptr<gpu::Graph> step = capture->finish();
    capture.reset();
    step->launch();
    stream().synchronize();
    result.state = read<StepState>(memory);
    for (std::size_t slot = 0; slot < kSlots; ++slot) result.reports.push_back(read<Report>(reports, slot));
    return result;
  }

  /// Call by call.
  Arena one_by_one(const std::vector<Layer>& layers, std::int64_t step) {
    Arena a = arena();
    add(layers, slices_of(layers), a.gradients);
    update(a, step, false, stream());
    return a;
  }

  static constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
};
INSTANTIATE_TEST_SUITE_P(Gpu, AdamTailTest, testing::Values(Device::cuda()), device_name);

const std::vector<Layer> kLayers = {{264, 27, 5, 16, 48},
                                    {1, 100, 0, 64, 0},
                                    {32, 1200, 10, 2000, 3200},
                                    {33, 19, 3, 3216, 3248, true},
                                    {4, 4096, 128, 4000, 8200}};

TEST_P(AdamTailTest, GivesTheBitsOfAddSlicesAndAdam) {
  const Replayed r = replay(kLayers, {}, {.updates = 6});
  EXPECT_TRUE(r.closed);
  EXPECT_EQ(r.arena.values(), one_by_one(kLayers, 7).values());
  EXPECT_NE(r.arena.values(), one_by_one(kLayers, 8).values());
}

TEST_P(AdamTailTest, TakesAnArenaWithoutSlices) {
  const Replayed r = replay({}, {}, {});
  EXPECT_TRUE(r.closed);
  EXPECT_EQ(r.arena.values(), one_by_one({}, 1).values());
}

TEST_P(AdamTailTest, MovesTheStateOnWhenAllBlocksHaveReadIt) {
  const Replayed r = replay(kLayers, {}, {.random_step = 3, .first = 40, .updates = 6, .steps = 9});
  EXPECT_EQ(r.state.random_step, 4U);
  EXPECT_EQ(r.state.first, 60);
  EXPECT_EQ(r.state.updates, 7);
  EXPECT_EQ(r.state.steps, 10);
  EXPECT_EQ(r.state.arrived, 0U);
  EXPECT_EQ(r.state.failed, 0);
}

TEST_P(AdamTailTest, ReportsTheLossOfItsParts) {
  const Replayed r = replay(kLayers, {{3.5, 4, 1}, {1.25, 2, 0}, {2, 0, 3}}, {.steps = 9});
  const Report& report = r.reports[9 % kSlots];
  EXPECT_EQ(report.number, 10);
  EXPECT_EQ(report.correct, 6);
  EXPECT_EQ(report.images, kImages);
  EXPECT_EQ(report.ignored, 4);
  EXPECT_EQ(report.failed, 0);
  EXPECT_EQ(report.loss, static_cast<double>(static_cast<float>(6.75 / (kImages - 4))));
  EXPECT_EQ(r.arena.values(), one_by_one(kLayers, 1).values());
  EXPECT_EQ(r.reports[2].number, 0);
}

TEST_P(AdamTailTest, WritesNothingOnceALossIsNotFinite) {
  const auto untouched = arena().values();
  for (const double loss : {static_cast<double>(kNan), std::numeric_limits<double>::infinity(), 1e300}) {
    const Replayed r = replay(kLayers, {{1, 0, 0}, {loss, 0, 0}}, {.steps = 5});
    EXPECT_EQ(r.arena.values(), untouched) << loss;
    EXPECT_EQ(r.state.failed, 6) << loss;
    EXPECT_EQ(r.reports[5 % kSlots].failed, 6) << loss;
    EXPECT_EQ(r.state.steps, 6) << loss;
  }
  const Replayed behind = replay(kLayers, {{1, 0, 0}}, {.failed = 2, .steps = 5});
  EXPECT_EQ(behind.arena.values(), untouched);
  EXPECT_EQ(behind.reports[5 % kSlots].failed, 2);
}

TEST_P(AdamTailTest, LeavesTheStateToOthersWhereTheUpdateIsNotWhole) {
  const Replayed r = replay(kLayers, {{8, 3, 0}}, {.steps = 2}, false);
  EXPECT_FALSE(r.closed);
  EXPECT_EQ(r.arena.values(), one_by_one(kLayers, 1).values());
  EXPECT_EQ(r.reports[2].number, 3);
  EXPECT_EQ(r.state.steps, 2);
}

TEST_P(AdamTailTest, AddsAtOnceWhatIsMoreThanItHolds) {
  std::vector<Layer> many;
  for (std::int64_t i = 0; i < 20; ++i) many.push_back({3 + i * 3, 7, 2, i * 32, i * 32 + 16});
  EXPECT_EQ(replay(many, {}, {}).arena.values(), one_by_one(many, 1).values());
}

TEST_P(AdamTailTest, AddsTheSecondSumOfAParameterToTheFirst) {
  const std::vector<Layer> twice = {{3, 40, 4, 16, 64}, {5, 40, 4, 16, 64, true}};
  EXPECT_EQ(replay(twice, {}, {}).arena.values(), one_by_one(twice, 1).values());
}

TEST_P(AdamTailTest, SumsThatMayNotWaitAreAddedAtOnce) {
  Tensor gradient = empty({40});
  const Tensor slices = Tensor::randn({3, 40}, 1, device()), memory = state_memory({});
  StepTail tail(reinterpret_cast<StepState*>(Tensor(memory).bytes()), {}, {1, false});
  cuda::add_slices(slices, {40, 40}, {gradient, false}, {gradient, false}, false, stream());
  EXPECT_TRUE(tail.sums().empty());
  const std::vector<float> rows = slices.to_vector<float>(), sums = gradient.to_vector<float>();
  for (std::size_t e = 0; e < sums.size(); ++e) EXPECT_NEAR(sums[e], rows[e] + rows[40 + e] + rows[80 + e], 1e-6);
}

TEST_P(AdamTailTest, AddsWhatTheOptimizerDoesNotHave) {
  Tensor gradient = empty({40});
  const Tensor slices = Tensor::randn({3, 40}, 1, device()), memory = state_memory({});
  Arena a = arena();
  auto* const state = reinterpret_cast<StepState*>(Tensor(memory).bytes());
  std::optional<gpu::Capture> capture(std::in_place, device(), state);
  {
    StepTail tail(state, {}, {1, false});
    cuda::add_slices(slices, {40, 40}, {gradient, false}, {gradient, false}, true, stream());
    update(a, 1, true, stream());
    EXPECT_TRUE(tail.is_closed());
  }
  const std::unique_ptr<gpu::Graph> step = capture->finish();
  capture.reset();
  step->launch();
  Tensor expected = empty({40});
  cuda::add_slices(slices, {40, 40}, {expected, false}, {expected, false}, true, stream());
  EXPECT_EQ(gradient.to_vector<float>(), expected.to_vector<float>());
}

}  // namespace
}  // namespace gpucnn::kernels
