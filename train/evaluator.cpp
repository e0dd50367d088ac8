#include <gpucnn/train/evaluator.h>

#include <algorithm>
#include <span>
#include <vector>

#include <gpucnn/core/config.h>
#include <gpucnn/train/judge.h>
#include <gpucnn/train/parallel/batch_sums.h>
#include <gpucnn/train/parallel/broadcast_run.h>
#include <gpucnn/train/train_step.h>

namespace gpucnn {
namespace {

class OneByOne final : public Evaluator {
 public:
  OneByOne(Module& model, Loss& loss, DataLoader& loader) : model_(model), loss_(loss), loader_(loader) {}

  std::optional<Metrics> operator()(const std::function<bool()>& stop) override {
    Metrics seen;
    for (const Batch& batch : loader_) {
      seen += evaluate(model_, loss_, batch);
      if (stop()) return {};
    }
    return seen;
  }

 private:
  Module& model_;
  Loss& loss_;
  DataLoader& loader_;
};

/// Each rank judges its part of every batch. They add up once, in the end.
class Joined final : public Evaluator {
 public:
  Joined(Module& model, Loss& loss, DataLoader& loader, const Distributed& distributed)
      : model_(model), loss_(loss), loader_(loader), distributed_(distributed) {
    require_own_part(distributed, loader);
  }

  std::optional<Metrics> operator()(const std::function<bool()>& stop) override {
    broadcast_buffers(distributed_, model_);
    std::vector<double> numbers;
    for (const Batch& batch : loader_) {
      BatchSums own = sums_of(batch);
      numbers.insert(numbers.end(), own.numbers().begin(), own.numbers().end());
      if (stop()) return {};
    }
    distributed_.all_reduce(numbers);
    return total(numbers);
  }

 private:
  BatchSums sums_of(const Batch& batch) const {
    if (batch.inputs.numel() == 0) return {};
    const Tensor output = static_cast<const Module&>(model_).predict(batch.inputs);
    const Tensor labels = loss_.prepare(output, batch.labels), value = loss_.evaluate(output, labels);
    return {loss_, labels, judge(loss_, output, labels, value), static_cast<double>(value.item())};
  }

  /// As `evaluate` counts: a batch of which all labels are ignored has no loss.
  Metrics total(std::span<const double> numbers) const {
    Metrics seen;
    for (; !numbers.empty(); numbers = numbers.subspan(BatchSums::kCount)) {
      BatchSums batch;
      std::ranges::copy(numbers.first(BatchSums::kCount), batch.numbers().begin());
      Metrics metrics = batch.metrics(loss_);
      if (metrics.ignored == metrics.images && !loss_.is_sum()) metrics.loss_sum = 0;
      seen += metrics;
    }
    return seen;
  }

  Module& model_;
  Loss& loss_;
  DataLoader& loader_;
  const Distributed& distributed_;
};

}  // namespace

std::unique_ptr<Evaluator> Evaluator::of(Module& model, Loss& loss, DataLoader& loader, const Distributed* distributed) {
  if (const Distributed* const others = other_ranks(distributed)) return std::make_unique<Joined>(model, loss, loader, *others);
  if constexpr (kBuiltWithCuda) {
    if (auto evaluator = captured(model, loss, loader)) return evaluator;
  }
  return std::make_unique<OneByOne>(model, loss, loader);
}

}  // namespace gpucnn
