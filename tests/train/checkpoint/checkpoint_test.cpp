// Checkpoints that do not fit: each is named in a sentence, and nothing changes.
#include <gpucnn/train/checkpoint.h>

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <gpucnn/core/error.h>
#include <gpucnn/optim/adamw.h>
#include <gpucnn/optim/schedules/step_lr.h>
#include <gpucnn/optim/sgd.h>

#include "io/temporary_folder.h"
#include "train/checkpoint/a_run.h"

namespace gpucnn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() { save_checkpoint(file, saved.parts(), {.epoch = 1, .batches = 2, .best_epoch = 1, .best_accuracy = 0.5}); }

  /// What loading `file` into `parts` is refused with; the run there must not change.
  std::string refusal(const RunParts& parts) {
    const auto before = here.bits();
    std::string message;
    try {
      load_checkpoint(file, parts);
    } catch (const std::exception& error) {
      message = error.what();
    }
    EXPECT_TRUE(here.bits() == before) << "something has changed: " << message;
    return message;
  }
  std::string refusal() { return refusal(here.parts()); }

  /// Writes the file again with other metadata.
  void change(const std::string& field, const std::optional<std::string>& text) {
    auto [state, metadata] = load_safetensors(file);
    if (text) {
      metadata[field] = *text;
    } else {
      metadata.erase(field);
    }
    save_safetensors(file, state, metadata);
  }

  TemporaryFolder folder;
  const std::filesystem::path file = folder / "state.safetensors";
  ARun saved{Device::cpu(), 1}, here{Device::cpu(), 2};
};

TEST_F(CheckpointTest, GivesThePositionAndTheMetadataBack) {
  const RunPosition position{.epoch = 7,
                             .batches = 3,
                             .train = {.loss_sum = 0.1, .correct = 5, .images = 12, .ignored = 1},
                             .seconds = 1e-300,
                             .best_epoch = 4,
                             .best_accuracy = 1.0 / 3};
  save_checkpoint(file, saved.parts(), position, {{"model", "mine"}, {"version", "text"}});
  const LoadedCheckpoint loaded = load_checkpoint(file, here.parts());
  EXPECT_EQ(loaded.metadata, (Metadata{{"model", "mine"}, {"version", "text"}}));
  EXPECT_EQ(loaded.position.epoch, 7);
  EXPECT_EQ(loaded.position.batches, 3);
  EXPECT_EQ(loaded.position.train.loss_sum, 0.1);
  EXPECT_EQ(loaded.position.train.correct, 5);
  EXPECT_EQ(loaded.position.train.images, 12);
  EXPECT_EQ(loaded.position.train.ignored, 1);
  EXPECT_EQ(loaded.position.seconds, 1e-300);
  EXPECT_EQ(loaded.position.best_epoch, 4);
  EXPECT_EQ(loaded.position.best_accuracy, 1.0 / 3);
  EXPECT_EQ(here.model.random_seed(), 1U);
}

TEST_F(CheckpointTest, TheSameRunGivesTheSameBytes) {
  save_checkpoint(folder / "again", saved.parts(), {.epoch = 1, .batches = 2, .best_epoch = 1, .best_accuracy = 0.5});
  EXPECT_EQ(read_bytes(folder / "again"), read_bytes(file));
}

TEST_F(CheckpointTest, KeepsNumbersThatAreNone) {
  save_checkpoint(file, saved.parts(), {.train = {.loss_sum = std::numeric_limits<double>::infinity()}, .best_accuracy = NAN});
  const RunPosition position = load_checkpoint(file, here.parts()).position;
  EXPECT_TRUE(std::isinf(position.train.loss_sum));
  EXPECT_TRUE(std::isnan(position.best_accuracy));
}

TEST_F(CheckpointTest, ServesARunWithoutOptionalParts) {
  const RunParts bare{.model = saved.model, .optimizer = saved.optimizer};
  save_checkpoint(file, bare, {.epoch = 2});
  EXPECT_EQ(load_checkpoint(file, {.model = here.model, .optimizer = here.optimizer}).position.epoch, 2);
  EXPECT_THAT(refusal(), HasSubstr("has scheduler none, this run OneCycleLR"));
}

TEST_F(CheckpointTest, RefusesAnotherOptimizer) {
  AdamW adamw(here.model.parameters());
  EXPECT_THAT(refusal({.model = here.model, .optimizer = adamw}), HasSubstr("has optimizer Adam, this run AdamW"));
  SGD sgd(here.model.parameters(), {.lr = 0.1});
  EXPECT_THAT(refusal({.model = here.model, .optimizer = sgd}), HasSubstr("has optimizer Adam, this run SGD"));
}

TEST_F(CheckpointTest, RefusesAnotherScheduleOrNone) {
  StepLR other(here.optimizer, {.step_size = 3});
  RunParts parts = here.parts();
  parts.scheduler = &other;
  EXPECT_THAT(refusal(parts), HasSubstr("has scheduler OneCycleLR, this run StepLR"));
  parts.scheduler = nullptr;
  EXPECT_THAT(refusal(parts), HasSubstr("has scheduler OneCycleLR, this run none"));
}

TEST_F(CheckpointTest, RefusesAnotherAverage) {
  RunParts parts = here.parts();
  parts.ema = nullptr;
  EXPECT_THAT(refusal(parts), HasSubstr("has ema ExponentialMovingAverage, this run none"));
  ExponentialMovingAverage slower(here.model, {.decay = 0.9});
  parts.ema = &slower;
  EXPECT_THAT(refusal(parts), HasSubstr("has ema.decay 0.8, this run 0.9"));
}

TEST_F(CheckpointTest, RefusesAnotherLoader) {
  RunParts parts = here.parts();
  DataLoader seed(ARun::images(Device::cpu(), ARun::kImages), {.batch_size = ARun::kBatch, .seed = 9});
  parts.train = &seed;
  EXPECT_THAT(refusal(parts), HasSubstr("has train.seed 3, this run 9"));
  DataLoader batch(ARun::images(Device::cpu(), ARun::kImages), {.batch_size = 5, .seed = 3});
  parts.train = &batch;
  EXPECT_THAT(refusal(parts), HasSubstr("has train.batch_size 4, this run 5"));
  DataLoader images(ARun::images(Device::cpu(), 21), {.batch_size = ARun::kBatch, .seed = 3});
  parts.train = &images;
  EXPECT_THAT(refusal(parts), HasSubstr("has train.examples 22, this run 21"));
}

TEST_F(CheckpointTest, RefusesAnotherNetwork) {
  Sequential other{Flatten(), Linear(192, 3)};
  Adam optimizer(other.parameters());
  save_checkpoint(file, {.model = other, .optimizer = optimizer}, {});
  EXPECT_THAT(refusal({.model = here.model, .optimizer = here.optimizer}),
              AllOf(HasSubstr("state.safetensors"), HasSubstr("model.1.weight must be f32 [6], got f32 [3, 192]")));
  Sequential other_names{Flatten(), Flatten(), Linear(192, 3)};
  Adam of_other_names(other_names.parameters());
  save_checkpoint(file, {.model = other_names, .optimizer = of_other_names}, {});
  EXPECT_THAT(refusal({.model = here.model, .optimizer = here.optimizer}),
              AllOf(HasSubstr("missing model.0.weight"), HasSubstr("unexpected model.2.weight")));
  Sequential wider{Conv2d(3, 7, {.kernel_size = 3, .padding = 1, .bias = false}), BatchNorm2d(7)};
  Adam of_wider(wider.parameters());
  save_checkpoint(file, {.model = wider, .optimizer = of_wider}, {});
  EXPECT_THAT(refusal({.model = here.model, .optimizer = here.optimizer}),
              HasSubstr("model.0.weight must be f32 [6, 3, 3, 3], got f32 [7, 3, 3, 3]"));
}

TEST_F(CheckpointTest, RefusesWhatIsNoCheckpoint) {
  save_safetensors(file, saved.model.state_dict());
  EXPECT_THAT(refusal(), HasSubstr("a checkpoint, which save_checkpoint writes, found tensors without the state of a run"));
}

TEST_F(CheckpointTest, RefusesANewerVersion) {
  change("checkpoint.version", "2");
  EXPECT_THAT(refusal(), HasSubstr("a checkpoint of version 1 or older, found version 2, of a newer libgpucnn"));
}

TEST_F(CheckpointTest, RefusesDamagedFields) {
  const auto [state, metadata] = load_safetensors(file);
  for (const auto& [field, text] : metadata) {
    SCOPED_TRACE(field);
    change(field, std::nullopt);
    EXPECT_THAT(refusal(), HasSubstr(file.string()));
    for (const std::string damaged : {"x", " 1", "1 ", "1x", "1e999"}) {
      change(field, damaged);
      EXPECT_THAT(refusal(), HasSubstr(file.string())) << damaged;
    }
    change(field, text);
  }
  EXPECT_NO_THROW(load_checkpoint(file, here.parts())) << "restored, it is whole again";
}

TEST_F(CheckpointTest, RefusesNumbersOutOfTheirBounds) {
  const auto [state, metadata] = load_safetensors(file);
  for (const std::string field : {"epoch", "batches", "best_epoch", "train.images", "random_step", "train.epoch", "version"}) {
    for (const std::string damaged : {"-1", "1.5", "99999999999999999999", ""}) {
      change("checkpoint." + field, damaged);
      EXPECT_THAT(refusal(), HasSubstr("as checkpoint." + field)) << damaged;
    }
    change("checkpoint." + field, metadata.at("checkpoint." + field));
  }
  for (const std::string field : {"optimizer.lr", "optimizer.momentum", "scheduler.state"}) {
    for (const std::string damaged : {"-1", "nan", "inf", "1 2 3 4 5 6 7 8", ""}) {
      change("checkpoint." + field, damaged);
      EXPECT_THAT(refusal(), HasSubstr("the state of an optimizer and a schedule")) << field << " " << damaged;
    }
    change("checkpoint." + field, metadata.at("checkpoint." + field));
  }
  change("checkpoint.batches", "7");
  EXPECT_THAT(refusal(), HasSubstr("at most 6 batches in an epoch, found 7"));
}

TEST_F(CheckpointTest, RefusesNegativeCounts) {
  auto [state, metadata] = load_safetensors(file);
  for (const std::string name : {"optimizer.step.0.weight", "ema.n_averaged"}) {
    StateDict damaged;
    for (const auto& [other, tensor] : state) {
      damaged.add(other, other == name ? Tensor::from(std::vector<std::int64_t>{-1}, tensor.shape()) : tensor);
    }
    save_safetensors(file, damaged, metadata);
    EXPECT_THAT(refusal(), HasSubstr("a count of steps, found a negative number as " + name));
  }
}

TEST_F(CheckpointTest, RefusesTensorsOfNoPart) {
  auto [state, metadata] = load_safetensors(file);
  state.add("weight", Tensor::zeros({1}));
  save_safetensors(file, state, metadata);
  EXPECT_THAT(refusal(), HasSubstr("found tensor weight"));
}

TEST_F(CheckpointTest, RefusesATruncatedFile) {
  const std::string bytes = read_bytes(file);
  for (std::size_t size = 0; size < bytes.size(); size += 97) {
    write_bytes(file, bytes.substr(0, size));
    EXPECT_THAT(refusal(), HasSubstr(file.string())) << size;
  }
}

TEST_F(CheckpointTest, KeepsItsOwnNamesToItself) {
  const std::string before = read_bytes(file);
  EXPECT_THROW(save_checkpoint(file, saved.parts(), {}, {{"checkpoint.epoch", "1"}}), std::invalid_argument);
  EXPECT_EQ(read_bytes(file), before);
}

TEST_F(CheckpointTest, FitRefusesAPositionOutsideTheRun) {
  FitOptions options = here.options();
  options.start = {.batches = 7};
  EXPECT_THROW(here.fit(options), std::invalid_argument);
  options.start = {.epoch = -1};
  EXPECT_THROW(here.fit(options), std::invalid_argument);
}

}  // namespace
}  // namespace gpucnn
