#include <gpucnn/train/train_step.h>

#include <cmath>

#include <fmt/format.h>

#include <gpucnn/kernels/copy/labels.h>
#include <gpucnn/kernels/metrics/count_correct.h>

namespace gpucnn {
namespace {

/// How many rows of logits are largest at their label; 0 where labels are no classes.
std::int64_t count_correct(const Tensor& logits, const Tensor& labels) {
  if (logits.rank() != 2 || labels.rank() != 1 || labels.dtype() == DType::f32) return 0;
  Stream stream(logits.device());
  Tensor classes = Tensor::empty(labels.shape(), DType::i32, logits.device());
  kernels::to_labels(labels, logits.dim(1), classes, stream);
  Tensor correct = Tensor::empty({}, DType::f32, logits.device());
  kernels::count_correct(logits, classes, correct, stream);
  return static_cast<std::int64_t>(correct.item());
}

Metrics judge(const Tensor& output, const Tensor& labels, const Tensor& loss) {
  const std::int64_t images = labels.dim(0);
  return {static_cast<double>(loss.item()) * static_cast<double>(images), count_correct(output, labels), images};
}

}  // namespace

NonFiniteLoss::NonFiniteLoss(double loss, std::int64_t step)
    : Error(fmt::format("the loss became {} at step {}; try a smaller learning rate", loss, step)), step_(step) {}

NonFiniteLoss::~NonFiniteLoss() = default;

Metrics TrainStep::operator()(const Batch& batch) {
  optimizer_.zero_grad();
  const Tensor output = model_(batch.inputs);
  const Tensor loss_value = loss()(output, batch.labels);
  const Metrics metrics = judge(output, batch.labels, loss_value);
  if (!std::isfinite(metrics.loss_sum)) throw NonFiniteLoss(static_cast<double>(loss_value.item()), ++steps_);
  model_.backward(loss().backward());
  optimizer_.step();
  ++steps_;
  return metrics;
}

Metrics evaluate(const Module& model, Loss& loss, const Batch& batch) {
  const Tensor output = model.predict(batch.inputs);
  return judge(output, batch.labels, loss(output, batch.labels));
}

Metrics evaluate(const Module& model, const Batch& batch) {
  CrossEntropyLoss loss;
  return evaluate(model, loss, batch);
}

}  // namespace gpucnn
