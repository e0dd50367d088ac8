#include <gpucnn/train/train_step.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>
#include <vector>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/metrics/count_correct.h>
#include <gpucnn/train/loss_end.h>

namespace gpucnn {
namespace {

/// The labels as i32 where they are whole numbers [N]; undefined otherwise. One beyond 32 bits is no class, and becomes -1.
Tensor as_classes(const Tensor& labels, std::int64_t N) {
  if (labels.rank() != 1 || labels.dim(0) != N) return {};
  if (labels.dtype() == DType::i32) return labels;
  const auto converted = [&](const auto& values) {
    std::vector<std::int32_t> classes;
    classes.reserve(values.size());
    for (const auto value : values) classes.push_back(std::in_range<std::int32_t>(value) ? static_cast<std::int32_t>(value) : -1);
    return Tensor::from(classes, labels.shape(), labels.device());
  };
  if (labels.dtype() == DType::i64) return converted(labels.to_vector<std::int64_t>());
  if (labels.dtype() == DType::u8) return converted(labels.to_vector<std::uint8_t>());
  return {};
}

/// The same classes with -1, which is no class, in place of each `ignored`; how many there were is added to `count`.
Tensor without(std::int32_t ignored, const Tensor& classes, std::int64_t& count) {
  const Tensor host = classes.to(Device::cpu());
  const std::span<const std::int32_t> values(host.data<std::int32_t>(), static_cast<std::size_t>(host.numel()));
  const std::int64_t found = std::ranges::count(values, ignored);
  if (found == 0) return classes;
  count += found;
  Tensor replaced = host.clone();
  std::replace_copy(values.begin(), values.end(), replaced.data<std::int32_t>(), ignored, -1);
  return replaced.to(classes.device());
}

/// `labels`: as the loss prepared them.
Metrics judge(const Loss& loss, const Tensor& output, const Tensor& labels, const Tensor& loss_value) {
  const std::int64_t images = labels.rank() > 0 ? labels.dim(0) : 1;
  Metrics metrics{0, 0, images};
  Tensor classes = loss.takes_probabilities(labels) ? labels : as_classes(labels, output.rank() > 0 ? output.dim(0) : 0);
  if (const auto ignored = loss.ignored_label(); ignored && classes.defined() && classes.dtype() == DType::i32)
    classes = without(*ignored, classes, metrics.ignored);
  metrics.loss_sum = static_cast<double>(loss_value.item()) * (loss.is_sum() ? 1 : static_cast<double>(images - metrics.ignored));
  if (!classes.defined() || output.rank() != 2 || output.dim(1) == 0) return metrics;
  Stream stream(output.device());
  Tensor correct = Tensor::empty({}, DType::f32, output.device());
  kernels::count_correct(output, classes, correct, stream);
  metrics.correct = static_cast<std::int64_t>(correct.item());
  return metrics;
}

}  // namespace

NonFiniteLoss::NonFiniteLoss(double loss, std::int64_t step)
    : Error(formatted("the loss became {} at step {}; try a smaller learning rate", loss, step)), step_(step) {}

NonFiniteLoss::~NonFiniteLoss() = default;

Metrics TrainStep::operator()(const Batch& batch) {
  update_.prepare();
  optimizer_.zero_grad();
  StepEnds ends;
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
