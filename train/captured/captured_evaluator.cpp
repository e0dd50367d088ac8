#include <gpucnn/train/captured/captured_evaluator.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/train/captured/step_state_kernels.h>

namespace gpucnn {

std::unique_ptr<Evaluator> Evaluator::captured(Module& model, Loss& loss, DataLoader& loader) {
  if (loader.options().part.count > 1) return nullptr;  // such a part may have no images
  auto batches = GpuBatches::of(loader, model.device());
  return batches ? std::make_unique<CapturedEvaluator>(model, loss, std::move(batches)) : nullptr;
}

CapturedEvaluator::CapturedEvaluator(Module& model, Loss& loss, std::unique_ptr<GpuBatches> batches)
    : model_(model),
      loss_(loss),
      batches_(std::move(batches)),
      device_(model.device()),
      stream_(device_),
      state_(device_),
      reports_(device_) {}

std::optional<Metrics> CapturedEvaluator::operator()(const std::function<bool()>& stop) {
  forget();
  if (Addresses now = addresses(); now != captured_) {
    for (const auto& step : steps_) step->drop();
    captured_ = std::move(now);
  }
  DataLoader& loader = batches_->loader();
  batches_->start_epoch();
  for (std::int64_t batch = 0; batch < loader.size(); ++batch) {
    const std::int64_t first = batch * loader.options().batch_size;
    queue(batches_->images(first), first);
    if (stop()) return {};
  }
  stream_.synchronize();
  collect();
  return seen_;
}

/// Of a walk that ended early some batches may still be under way.
void CapturedEvaluator::forget() {
  stream_.synchronize();
  reports_.forget();
  begun_ = arrived_ = 0;
  seen_ = {};
}

CapturedEvaluator::Addresses CapturedEvaluator::addresses() const {
  Addresses now{.tensors = {}, .precision = model_.precision()};
  const Module::ParameterMemory memory = model_.parameter_memory();
  const auto add = [&](const Tensor& tensor) { now.tensors.push_back(tensor.defined() ? tensor.bytes() : nullptr); };
  add(memory.values);
  add(memory.bf16_copies);
  for (const Tensor& buffer : model_.buffers()) add(buffer);
  return now;
}

CapturedEvaluator::Step& CapturedEvaluator::step_of(std::int64_t images) {
  const auto found = std::ranges::find(steps_, images, [](const auto& step) { return step->images; });
  return found != steps_.end() ? **found : *steps_.emplace_back(std::make_unique<Step>(images));
}

void CapturedEvaluator::queue(std::int64_t images, std::int64_t first) {
  while (collect(), begun_ - arrived_ == StepReports::kMaxQueued) {
    gpu::queue(device_).poll();
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  Step& step = step_of(images);
  state_.set({.epoch = batches_->loader().transform(first).epoch, .first = first, .steps = begun_}, stream_);
  const bool hooked = model_.has_hooks();  // a replayed batch would call none
  const bool recorded = !hooked && (step.graph || (step.warm && capturable_ && capture(step)));
  if (recorded) {
    step.graph->launch();
    state_.advance(images, false);
  } else {
    judge(images, first);
    step.warm = true;
  }
  ++begun_;
}

bool CapturedEvaluator::capture(Step& step) {
  gpu::Capture capture(device_, state_.on_device());
  try {
    const MemoryPlan::Open open(step.memory.emplace(device_));
    judge(step.images, 0);
    gpu::advance(state_.on_device(), step.images, false, stream_);
    step.graph = capture.finish();
  } catch (const std::exception& error) {
    // A layer read what it computed, a vendor's call cannot be recorded, or there is no room for memory of the step's own: what
    // works call by call goes on so.
    step.drop();
    const bool no_room = dynamic_cast<const Error*>(&error) || dynamic_cast<const std::bad_alloc*>(&error);
    if (!capture.refused() && !no_room) throw;
    return capturable_ = false;
  }
  return true;
}

void CapturedEvaluator::judge(std::int64_t images, std::int64_t first) {
  const Batch batch = batches_->gather(images, first, stream_);
  const Tensor output = std::as_const(model_).predict(batch.inputs);
  if (!labels_checked_) batches_->check_labels(loss_, output, stream_);
  labels_checked_ = true;
  const Tensor labels = loss_.takes_unprepared(batch.labels) ? batch.labels : loss_.prepare(output, batch.labels);
  const Tensor loss = loss_.evaluate(output, labels);
  static_cast<void>(loss_.backward());  // gives its memory back
  gpu::report_step(output, {labels, loss_.takes_probabilities(labels), loss_.ignored_label()}, loss, state_.on_device(),
                   reports_.on_device(), StepReports::kMaxQueued, stream_);
}

void CapturedEvaluator::collect() {
  for (; arrived_ < begun_ && reports_.has_arrived(arrived_); ++arrived_) {
    const gpu::StepReport& report = reports_.of(arrived_);
    Metrics metrics = StepReports::metrics(report, loss_.is_sum());
    // The mean over no image is NaN, which would spoil the sum over the batches.
    if (report.ignored > 0 && report.ignored == report.images && !loss_.is_sum()) metrics.loss_sum = 0;
    seen_ += metrics;
  }
}

}  // namespace gpucnn
