// Networks drawn at random from all layers: joined by a Sequential, layer by layer, and in a captured step they compute the same.
// GPUCNN_RANDOM_NETWORKS says how many (500; of captured ones an eighth), GPUCNN_RANDOM_SEED the first one's seed (1); the others'
// seeds follow it.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/data/tensor_dataset.h>
#include <gpucnn/layers/losses/cross_entropy_loss.h>
#include <gpucnn/optim/adamw.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer.h>

#include "close.h"
#include "everywhere.h"
#include "layers/layers.h"
#include "pretended_bf16.h"
#include "train/drawn_network.h"
#include "train/layer_makers.h"

namespace gpucnn {
namespace {

/// Gradients through up to 20 layers, of which some were added in another order. Some cancel: those of what a normalization takes
/// away again are but rounding. `largest` is the largest gradient of the network. Terms below 2^-126 may be flushed.
Tolerance other_order(double largest) { return {1e-5, 1e-5, 2e-6 * largest + 0x1p-110}; }

/// Of predictions whose convolutions do the work of norms behind them, through up to 20 layers.
constexpr Tolerance kFolded{0, 1e-5};

std::uint64_t variable(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

struct Seeds {
  std::uint64_t count, first;
};
Seeds seeds() { return {variable("GPUCNN_RANDOM_NETWORKS", 500), variable("GPUCNN_RANDOM_SEED", 1)}; }

std::string trace(std::uint64_t seed, const DrawnNetwork& network) {
  return "GPUCNN_RANDOM_NETWORKS=1 GPUCNN_RANDOM_SEED=" + std::to_string(seed) + ":\n" + network.model->summary(network.x);
}

using Lists = std::vector<std::vector<float>>;

/// The buffers, as floats.
void add_buffers(Module& model, Lists& all) {
  for (const Tensor& buffer : model.buffers()) {
    if (buffer.dtype() == DType::f32) {
      all.push_back(values(buffer));
    } else {
      const std::vector<std::int64_t> counts = buffer.to_vector<std::int64_t>();
      all.emplace_back(counts.begin(), counts.end());
    }
  }
}

// ---- joined and layer by layer ---------------------------------------------------------------------------------------

/// What a network gives: y of two forwards in training, with the buffers behind them, and of a prediction then; the gradients of
/// the first, and their sums with those of the second.
struct Passes {
  Lists values, gradients, predicted;
};

Tensor input(const DrawnNetwork& network, unsigned seed) {
  std::vector<float> x = reference::random_floats(network.x.numel(), seed);
  if (network.whole) std::ranges::transform(x, x.begin(), [](float value) { return std::round(2 * value); });
  return Tensor::from(x, network.x);
}

Passes passes(DrawnNetwork network) {
  Passes all;
  Module& model = *network.model;
  for (const unsigned pass : {1U, 2U}) {
    all.values.push_back(values(model(input(network, pass))));
    const Tensor dx = model.backward(random_tensor(network.y, 10 + pass));
    if (dx.defined()) all.gradients.push_back(values(dx));
    for (const Parameter& parameter : model.parameters()) {
      all.gradients.push_back(parameter.has_grad() ? values(parameter.grad()) : std::vector<float>{});
    }
  }
  all.predicted.push_back(values(model.predict(input(network, 3))));
  add_buffers(model, all.values);
  return all;
}

void expect_all_close(const Lists& actual, const Lists& expected, Tolerance tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    SCOPED_TRACE("list " + std::to_string(i) + " of " + std::to_string(expected.size()));
    ASSERT_NO_FATAL_FAILURE(expect_close(actual[i], as_doubles(expected[i]), tolerance));
  }
}

/// Whether there is a BatchNorm2d that a Conv2d before it may do the work of.
bool may_fold(std::uint64_t seed) {
  const DrawnNetwork network(seed);
  for (std::size_t i = 0; i < network.counts.size(); ++i) {
    if (layer_makers()[i].name == std::string_view("BatchNorm2d") && network.counts[i] > 0) return true;
  }
  return false;
}

/// One instruction set for both, and several threads for the joined one.
void expect_same_joined(std::uint64_t seed) {
  const std::vector<std::int64_t> sets = ForcedInstructionSet::all();
  const ForcedInstructionSet forced(sets[seed % sets.size()]);
  const auto run = [&](bool joins) {
    const ForcedThreads threads(joins ? static_cast<int>(2 + seed % 4) : 1);
    return passes(DrawnNetwork(seed, {.joins = joins}));
  };
  const Passes joined = run(true), apart = run(false);
  {
    SCOPED_TRACE("outputs and buffers");
    ASSERT_NO_FATAL_FAILURE(expect_all_close(joined.values, apart.values, kSameValue));
  }
  {
    SCOPED_TRACE("a prediction");
    ASSERT_NO_FATAL_FAILURE(expect_all_close(joined.predicted, apart.predicted, may_fold(seed) ? kFolded : kSameValue));
  }
  SCOPED_TRACE("gradients");
  float largest = 0;
  for (const std::vector<float>& gradient : apart.gradients) {
    for (const float value : gradient) largest = std::max(largest, std::abs(value));
  }
  const bool one_pass = DrawnNetwork(seed).one_pass;
  expect_all_close(joined.gradients, apart.gradients, one_pass ? other_order(static_cast<double>(largest)) : kSameValue);
}

TEST(DrawnNetworks, GiveTheSameJoinedAndLayerByLayer) {
  const auto [count, first] = seeds();
  std::cout << count << " networks from seed " << first << " on\n";
  std::vector<int> counts(layer_makers().size());
  int one_pass = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const DrawnNetwork network(seed);
    SCOPED_TRACE(trace(seed, network));
    ASSERT_NO_FATAL_FAILURE(expect_same_joined(seed));
    one_pass += network.one_pass;
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += network.counts[i];
  }
  for (std::size_t i = 0; i < counts.size(); ++i) {
    std::cout << counts[i] << " of " << layer_makers()[i].name << "\n";
    if (count >= 300) {
      EXPECT_GE(counts[i], 20) << layer_makers()[i].name;
    }
  }
  if (count >= 300) {
    EXPECT_GE(one_pass, 50);
  }
}

// ---- captured and step by step -----------------------------------------------------------------------------------------

constexpr int kClasses = 4, kImages = 6;  // in batches of 4 and 2

/// Counts the forwards that the host has made.
class Counted : public Module {
 public:
  explicit Counted(std::unique_ptr<Module> inner) : inner_(std::move(inner)) { set_input_grad(inner_->input_grad()); }
  Shape output_shape(const Shape& x) const override { return inner_->output_shape(x); }
  Tensor forward(const Tensor& x, Context& context) const override {
    ++forwards;
    return (*inner_)(x, context);
  }
  Tensor gradients(const Tensor& dy, Context& context) override { return inner_->backward(dy, context); }
  void members(Members& m) override { m("inner", *inner_); }

  mutable int forwards = 0;

 protected:
  bool child_input_grad(std::size_t) const override { return input_grad(); }

 private:
  std::unique_ptr<Module> inner_;
};

class CapturedNetworks : public LayerTest {
 protected:
  TensorDataset images(const Shape& x, unsigned seed) const {
    std::vector<std::uint8_t> pixels;
    std::vector<std::int32_t> labels;
    const Shape all = x.with(0, kImages);
    for (const float value : reference::random_floats(all.numel(), seed)) {
      pixels.push_back(static_cast<std::uint8_t>((value + 1) * 127));
    }
    for (int n = 0; n < kImages; ++n) labels.push_back(n % kClasses);
    return TensorDataset(Tensor::from(pixels, all), Tensor::from(labels, {kImages})).to(device());
  }

  /// Parameters, gradients and buffers after three epochs, behind what the steps came to. Behind a loss that is not finite they are
  /// its step alone.
  Lists learned(std::uint64_t seed, bool by_trainer) const {
    DrawnNetwork network(seed, {.num_classes = kClasses});
    Counted model(std::move(network.model));
    model.to(device());
    const PretendedBf16 there;
    if (seed % 4 == 0) model.set_precision(Precision::bf16);
    AdamW adamw(model.parameters(), {.lr = 1e-3});
    SGD sgd(model.parameters(), {.lr = 1e-3, .momentum = 0.9});
    Optimizer& optimizer = seed % 3 == 0 ? static_cast<Optimizer&>(sgd) : adamw;
    CrossEntropyLoss loss({.ignore_index = seed % 5 == 0 ? 2 : -100, .label_smoothing = seed % 2 == 0 ? 0 : 0.1});
    DataLoader loader(images(network.x, static_cast<unsigned>(seed)), {.batch_size = 4, .shuffle = true, .seed = seed});
    Metrics seen;
    try {
      if (by_trainer) {
        Trainer trainer(model, optimizer, loss, loader);
        for (int epoch = 0; epoch < 3; ++epoch) {
          trainer.start_epoch();
          while (trainer.step()) seen += trainer.take();
          seen += trainer.finish();
        }
        // Of each batch size the first step runs as it is, the second is captured, and the third replayed.
        EXPECT_EQ(model.forwards, device().kind == Device::Kind::cuda ? 4 : 6);
      } else {
        TrainStep step(model, optimizer, loss);
        for (int epoch = 0; epoch < 3; ++epoch) {
          for (const Batch& batch : loader) seen += step(batch);
        }
      }
    } catch (const NonFiniteLoss& error) {
      return {{static_cast<float>(error.step())}};
    }
    Lists all{{static_cast<float>(seen.loss_sum), static_cast<float>(seen.correct), static_cast<float>(seen.ignored)}};
    for (const Parameter& parameter : model.parameters()) {
      all.push_back(values(parameter.value()));
      all.push_back(parameter.has_grad() ? values(parameter.grad()) : std::vector<float>{});
    }
    add_buffers(model, all);
    return all;
  }

  /// Networks [from, to) of this run.
  void expect_same_captured(std::uint64_t from, std::uint64_t to) const {
    std::uint64_t finite = 0;
    for (std::uint64_t seed = seeds().first + from; seed < seeds().first + to; ++seed) {
      SCOPED_TRACE(trace(seed, DrawnNetwork(seed, {.num_classes = kClasses})));
      const Lists captured = learned(seed, true);
      ASSERT_NO_FATAL_FAILURE(expect_all_close(captured, learned(seed, false), kSameValue));
      finite += captured.size() > 1;
    }
    EXPECT_GE(finite, (to - from) * 9 / 10);
  }

  /// A few, because sanitizers are slow.
  static constexpr std::uint64_t kForSanitizers = 8;
};
INSTANTIATE_TEST_SUITE_P(Devices, CapturedNetworks, devices(), device_name);

TEST_P(CapturedNetworks, LearnAsStepByStep) { expect_same_captured(0, kForSanitizers); }

TEST_P(CapturedNetworks, AndManyMoreDo) {
  const std::uint64_t all = seeds().count;
  if (all > kForSanitizers) expect_same_captured(kForSanitizers, all);
}

}  // namespace
}  // namespace gpucnn
