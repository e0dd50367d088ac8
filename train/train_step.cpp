#include <gpucnn/train/train_step.h>

#include <cmath>
#include <numeric>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/train/judge.h>
#include <gpucnn/train/loss_end.h>
#include <gpucnn/train/parallel/broadcast_run.h>
#include <gpucnn/train/parallel/joined_step.h>

namespace gpucnn {

NonFiniteLoss::NonFiniteLoss(double loss, std::int64_t step)
    : Error(formatted("the loss became {} at step {}; try a smaller learning rate", loss, step)), step_(step) {}

NonFiniteLoss::~NonFiniteLoss() = default;

TrainStep::TrainStep(Module& model, Optimizer& optimizer, Loss& loss, const StepOptions& options)
    : TrainStep(model, optimizer, options) {
  loss_ = &loss;
}

TrainStep::TrainStep(Module& model, Optimizer& optimizer, const StepOptions& options)
    : model_(model), optimizer_(optimizer), update_(model, optimizer, options), distributed_(other_ranks(options.distributed)) {
  if (!distributed_) return;
  joined_ = std::make_unique<JoinedStep>(model, *distributed_);
  broadcast_run(*distributed_, {.model = model, .optimizer = optimizer, .ema = options.ema});
}

TrainStep::~TrainStep() = default;

PlaceInBatch TrainStep::place_of(const Batch& part) const {
  const std::int64_t own = part.inputs.rank() > 0 ? part.inputs.dim(0) : 0;
  if (!distributed_) return {0, own};
  std::vector<std::int64_t> counts(static_cast<std::size_t>(distributed_->size()));
  const auto rank = counts.begin() + distributed_->rank();
  *rank = own;
  distributed_->all_reduce(counts);
  return {std::accumulate(counts.begin(), rank, std::int64_t{0}), std::accumulate(counts.begin(), counts.end(), std::int64_t{0})};
}

Metrics TrainStep::operator()(const Batch& batch) { return (*this)(batch, place_of(batch)); }

Metrics TrainStep::operator()(const Batch& part, const PlaceInBatch& place) {
  update_.prepare();
  optimizer_.zero_grad();
  return distributed_ ? step_joined(part, place) : step_alone(part, place);
}

Metrics TrainStep::step_alone(const Batch& batch, const PlaceInBatch& place) {
  StepEnds ends{.images_before = place.before};
  if (!model_.has_hooks()) ends.loss = loss_end(loss(), batch.labels, /*wants_value=*/true);
  const Tensor output = model_(batch.inputs, ends);
  const Tensor labels = loss().prepare(output, batch.labels);
  const bool taken = ends.loss && ends.loss->is_taken();
  const Tensor loss_value = taken ? ends.loss->value : loss().evaluate(output, labels);
  const Metrics metrics = judge(loss(), output, labels, loss_value);
  if (!std::isfinite(metrics.loss_sum)) throw NonFiniteLoss(static_cast<double>(loss_value.item()), ++steps_);
  model_.backward(taken ? ends.loss->gradient : loss().backward());
  update_();
  ++steps_;
  return metrics;
}

/// A rank whose loss is not finite runs its backward all the same: the others wait for its gradients before they hear of it.
Metrics TrainStep::step_joined(const Batch& part, const PlaceInBatch& place) {
  StepEnds ends{.images_before = place.before};
  const Tensor output = model_(part.inputs, ends);
  BatchSums own;
  Tensor gradient;
  if (output.numel() > 0) {
    const Tensor labels = loss().prepare(output, part.labels), value = loss().evaluate(output, labels);
    own = {loss(), labels, judge(loss(), output, labels, value), static_cast<double>(value.item())};
    gradient = loss().backward();
  } else {
    gradient = Tensor::empty(output.shape(), DType::f32, output.device());
  }
  joined_->start(loss(), own, place.images, gradient);
  joined_->backward(gradient);
  const BatchSums& all = joined_->finish(loss());
  const Metrics metrics = all.metrics(loss());
  if (!std::isfinite(metrics.loss_sum)) throw NonFiniteLoss(all.loss(loss()), ++steps_);
  update_();
  ++steps_;
  return metrics;
}

Metrics evaluate(const Module& model, Loss& loss, const Batch& batch) {
  const Tensor output = model.predict(batch.inputs);
  const Tensor labels = loss.prepare(output, batch.labels);
  Metrics metrics = judge(loss, output, labels, loss.evaluate(output, labels));
  // The mean over no image is NaN, which would spoil the sum over the batches.
  if (metrics.ignored > 0 && metrics.ignored == metrics.images && !loss.is_sum()) metrics.loss_sum = 0;
  return metrics;
}

Metrics evaluate(const Module& model, const Batch& batch) {
  CrossEntropyLoss loss;
  return evaluate(model, loss, batch);
}

}  // namespace gpucnn
