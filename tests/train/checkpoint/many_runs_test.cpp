// Runs of many kinds: optimizers with groups, schedules by step and by epoch, samplers, mixed images, workers, frozen layers. Each
// is stopped at every other place, and resumed with another seed.
#include <functional>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include <gpucnn/data/data_loader.h>
#include <gpucnn/data/shapes.h>
#include <gpucnn/models/make_model.h>
#include <gpucnn/optim/muon.h>
#include <gpucnn/optim/rmsprop.h>
#include <gpucnn/optim/schedules/cosine_annealing_warm_restarts.h>
#include <gpucnn/optim/schedules/linear_lr.h>
#include <gpucnn/optim/schedules/reduce_lr_on_plateau.h>
#include <gpucnn/optim/schedules/sequential_lr.h>
#include <gpucnn/optim/sgd.h>
#include <gpucnn/train/checkpoint.h>
#include <gpucnn/train/fit.h>

#include "io/temporary_folder.h"

namespace gpucnn {
namespace {

using testing::read_bytes;
using testing::TemporaryFolder;

constexpr std::int64_t kImages = 40;

std::unique_ptr<Optimizer> make_optimizer(int kind, std::vector<Parameter> parameters) {
  if (kind % 3 == 0) return std::make_unique<Muon>(no_decay_on_biases_and_norms(parameters, MuonOptions{.lr = 0.01}));
  if (kind % 3 == 2) return std::make_unique<RMSprop>(parameters, RMSpropOptions{.lr = 0.001, .momentum = 0.5, .centered = true});
  const SGDOptions options{.lr = 0.05, .momentum = 0.9, .dampening = 0.5, .weight_decay = 1e-3};
  return std::make_unique<SGD>(no_decay_on_biases_and_norms(parameters, options));
}

DataLoaderOptions train_options(int kind) {
  DataLoaderOptions options{.batch_size = 8,
                            .shuffle = kind % 2 == 0,
                            .seed = 5,
                            .alternating_flip = true,
                            .random_resized_crop = RandomResizedCropOptions{},
                            .cutout = 4,
                            .mix = {.mixup_alpha = 0.2, .cutmix_alpha = 1, .num_classes = 10},
                            .num_workers = kind % 2 == 0 ? 2 : 0};
  options.color_jitter.brightness = 0.3;
  if (kind % 2 == 1) options.sampler = WeightedRandomSampler{.weights = std::vector<double>(kImages, 1.0), .num_samples = 36};
  return options;
}

/// A run of one of six kinds.
class ManyARun {
 public:
  ManyARun(int kind, std::uint64_t seed) : by_epoch_(kind < 3), train_(shapes().train, train_options(kind)) {
    model_.init(seed);
    if (kind == 4) model_.parameters().front().requires_grad(false);
    optimizer_ = make_optimizer(kind, model_.parameters());
    if (by_epoch_) {
      schedule_ = std::make_unique<ReduceLROnPlateau>(*optimizer_, ReduceLROnPlateauOptions{.factor = 0.5, .patience = 0});
      return;
    }
    parts_.push_back(std::make_unique<LinearLR>(*optimizer_, LinearLROptions{.start_factor = 0.1, .total_iters = 4}));
    parts_.push_back(std::make_unique<CosineAnnealingWarmRestarts>(*optimizer_, CosineAnnealingWarmRestartsOptions{.T_0 = 5}));
    schedule_ = std::make_unique<SequentialLR>(
        *optimizer_, std::vector<std::reference_wrapper<LRScheduler>>{*parts_[0], *parts_[1]}, std::vector<std::int64_t>{4});
  }

  /// Trains from `start` until `stop` says so.
  RunPosition fit(const RunPosition& start, const std::function<bool()>& stop) {
    return gpucnn::fit(model_, *optimizer_, train_, test_,
                       {.epochs = 2,
                        .stop = stop,
                        .start = start,
                        .scheduler = schedule_.get(),
                        .schedule_every = by_epoch_ ? Every::epoch : Every::step,
                        .step = {.clip_grad_norm = 1.0, .ema = &ema_}})
        .position;
  }
  RunPosition load(const std::filesystem::path& file) { return load_checkpoint(file, run()).position; }
  void save(const std::filesystem::path& file, const RunPosition& position) { save_checkpoint(file, run(), position); }

 private:
  static const DatasetSplits& shapes() {
    static const DatasetSplits drawn = make_shapes(kImages, 20);
    return drawn;
  }
  RunParts run() {
    return {
        .model = model_, .optimizer = *optimizer_, .train = &train_, .test = &test_, .scheduler = schedule_.get(), .ema = &ema_};
  }

  bool by_epoch_;
  std::unique_ptr<Sequential> network_ = make_model("lenet5", {3, 32, 32}, 10);
  Module& model_ = *network_;
  std::unique_ptr<Optimizer> optimizer_;
  std::vector<std::unique_ptr<LRScheduler>> parts_;
  std::unique_ptr<LRScheduler> schedule_;
  DataLoader train_, test_{shapes().test, {.batch_size = 16}};
  ExponentialMovingAverage ema_{model_, {.decay = 0.9}};
};

TEST(Resume, HasTheSameBitsWhateverARunIsMadeOf) {
  const TemporaryFolder folder;
  for (int kind = 0; kind < 6; ++kind) {
    SCOPED_TRACE(kind);
    ManyARun whole(kind, 1);
    int places = 0;
    whole.save(folder / "whole", whole.fit({}, [&] { return ++places, false; }));
    for (int place = 0; place < places; place += 2) {
      ManyARun stopped(kind, 1);
      stopped.save(folder / "half", stopped.fit({}, [left = place]() mutable { return left-- == 0; }));
      ManyARun resumed(kind, 77);
      const RunPosition half = resumed.load(folder / "half");
      resumed.save(folder / "rest", resumed.fit(half, [] { return false; }));
      EXPECT_TRUE(read_bytes(folder / "rest") == read_bytes(folder / "whole")) << "stopped at place " << place << " of " << places;
    }
  }
}

}  // namespace
}  // namespace gpucnn
