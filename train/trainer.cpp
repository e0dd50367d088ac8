#include <gpucnn/train/trainer.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/config.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/train/parallel/broadcast_run.h>
#include <gpucnn/train/train_step.h>
#include <gpucnn/train/trainer_impl.h>

namespace gpucnn {
namespace {

/// Each step is done when it returns.
class OneByOne final : public Trainer::Impl {
 public:
  OneByOne(Module& model, Optimizer& optimizer, Loss& loss, DataLoader& loader, const StepOptions& options)
      : loader_(loader), step_(model, optimizer, loss, options) {
    if (const Distributed* const distributed = other_ranks(options.distributed)) require_own_part(*distributed, loader);
  }

  void start_epoch(std::int64_t batch) override {
    batch_.reset();  // gives its batch back
    batch_.emplace(loader_.begin(batch));
    number_ = batch;
    begun_ = false;
  }

  std::int64_t step(std::int64_t) override {
    if (!batch_) return 0;
    if (std::exchange(begun_, true)) ++*batch_;
    if (*batch_ == loader_.end()) {
      batch_.reset();
      return 0;
    }
    seen_ += step_(**batch_, place());
    ++number_;
    return 1;
  }

  Metrics take() override { return std::exchange(seen_, Metrics{}); }
  Metrics finish() override { return take(); }
  std::int64_t steps() const noexcept override { return step_.steps(); }

 private:
  PlaceInBatch place() const {
    const DataLoaderOptions& options = loader_.options();
    const std::int64_t images = std::min(options.batch_size, std::ssize(loader_.order()) - number_ * options.batch_size);
    return {options.part.first(images), images};
  }

  DataLoader& loader_;
  TrainStep step_;
  std::optional<DataLoader::Iterator> batch_;
  std::int64_t number_ = 0;  // of the next batch to learn from
  bool begun_ = false;       // whether the batch was learned from
  Metrics seen_;
};

std::unique_ptr<Trainer::Impl> make_impl(Module& model, Optimizer& optimizer, Loss& loss, DataLoader& loader,
                                         const StepOptions& options) {
  if constexpr (kBuiltWithCuda) {
    if (auto captured = Trainer::Impl::captured(model, optimizer, loss, loader, options)) return captured;
  }
  return std::make_unique<OneByOne>(model, optimizer, loss, loader, options);
}

}  // namespace

Trainer::Trainer(Module& model, Optimizer& optimizer, Loss& loss, DataLoader& loader, const StepOptions& options)
    : loader_(loader), impl_(make_impl(model, optimizer, loss, loader, options)) {}

Trainer::Trainer(Module& model, Optimizer& optimizer, DataLoader& loader, const StepOptions& options)
    : loader_(loader), own_loss_(std::make_unique<CrossEntropyLoss>()) {
  impl_ = make_impl(model, optimizer, *own_loss_, loader, options);
}

Trainer::~Trainer() = default;

void Trainer::start_epoch(std::int64_t batch) {
  if (batch < 0 || batch > loader_.size()) {
    throw std::invalid_argument(formatted("Trainer: an epoch has {} batches, got batch {} to begin at", loader_.size(), batch));
  }
  impl_->start_epoch(batch);
}

std::int64_t Trainer::step(std::int64_t at_most) { return impl_->step(at_most); }
Metrics Trainer::take() { return impl_->take(); }
Metrics Trainer::finish() { return impl_->finish(); }
std::int64_t Trainer::steps() const noexcept { return impl_->steps(); }

}  // namespace gpucnn
