#include <gpucnn/train/train_step.h>

#include <cmath>

#include <fmt/format.h>

#include <gpucnn/kernels/copy/labels.h>
#include <gpucnn/kernels/metrics/count_correct.h>

namespace gpucnn {
namespace {

Metrics judge(const Tensor& logits, const Tensor& labels, const Tensor& loss) {
  Stream stream(logits.device());
  Tensor classes = Tensor::empty(labels.shape(), DType::i32, logits.device());
  kernels::to_labels(labels, logits.dim(1), classes, stream);
  Tensor correct = Tensor::empty({}, DType::f32, logits.device());
  kernels::count_correct(logits, classes, correct, stream);
  const std::int64_t images = logits.dim(0);
  return {static_cast<double>(loss.item()) * static_cast<double>(images), static_cast<std::int64_t>(correct.item()), images};
}

}  // namespace

NonFiniteLoss::NonFiniteLoss(double loss, std::int64_t step)
    : Error(fmt::format("the loss became {} at step {}; try a smaller learning rate", loss, step)), step_(step) {}

NonFiniteLoss::~NonFiniteLoss() = default;

Metrics TrainStep::operator()(const Batch& batch) {
  optimizer_.zero_grad();
  const Tensor logits = model_(batch.inputs);
  const Tensor loss = criterion_(logits, batch.labels);
  const Metrics metrics = judge(logits, batch.labels, loss);
  if (!std::isfinite(metrics.loss_sum)) throw NonFiniteLoss(static_cast<double>(loss.item()), ++steps_);
  model_.backward(criterion_.backward());
  optimizer_.step();
  ++steps_;
  return metrics;
}

Metrics evaluate(Module& model, const Batch& batch) {
  const Tensor logits = model.predict(batch.inputs);
  return judge(logits, batch.labels, CrossEntropyLoss()(logits, batch.labels));
}

}  // namespace gpucnn
