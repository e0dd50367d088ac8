#include <gpucnn/train/captured/captured_trainer.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include <gpucnn/layers/module/module_tree.h>
#include <gpucnn/train/loss_end.h>
#include <gpucnn/train/parallel/broadcast_run.h>
#include <gpucnn/train/train_step.h>

namespace gpucnn {

std::unique_ptr<Trainer::Impl> Trainer::Impl::captured(Module& model, Optimizer& optimizer, Loss& loss, DataLoader& loader,
                                                       const StepOptions& options) {
  if (loader.options().part.count > 1 && !other_ranks(options.distributed)) return nullptr;  // such a part may have no images
  auto batches = GpuBatches::of(loader, model.device());
  return batches ? std::make_unique<CapturedTrainer>(model, optimizer, loss, std::move(batches), options) : nullptr;
}

CapturedTrainer::CapturedTrainer(Module& model, Optimizer& optimizer, Loss& loss, std::unique_ptr<GpuBatches> batches,
                                 const StepOptions& options)
    : model_(model),
      optimizer_(optimizer),
      loss_(loss),
      update_(model, optimizer, options),
      batches_(std::move(batches)),
      device_(model.device()),
      stream_(device_),
      state_(device_),
      reports_(device_) {
  if (const Distributed* const distributed = other_ranks(options.distributed)) {
    require_own_part(*distributed, batches_->loader());
    joined_ = std::make_unique<JoinedGpuStep>(model, loss, *distributed);
    broadcast_run(*distributed, {.model = model, .optimizer = optimizer, .ema = options.ema});
  }
}

void CapturedTrainer::start_epoch(std::int64_t batch) {
  if (begun_ > arrived_) stream_.synchronize();  // steps of the last epoch still read its order
  batches_->start_epoch();
  next_ = batch;
}

std::int64_t CapturedTrainer::step(std::int64_t at_most) {
  DataLoader& loader = batches_->loader();
  if (!batches_->has_epoch() || next_ >= loader.size()) return 0;
  const std::int64_t batch = loader.options().batch_size, first = next_ * batch, before = next_;
  const std::int64_t last_of_many = first + (Trainer::kStepsAtOnce - 1) * batch;
  try {
    const bool many = at_most >= Trainer::kStepsAtOnce && batches_->images(last_of_many) == batch;
    next_ = before + Trainer::kStepsAtOnce;  // also where a step throws that none was learned from
    if (!many || !take_steps(first)) {
      next_ = before + 1;
      take_step(first);
    }
  } catch (const OutOfMemory&) {
    next_ = before;  // the batch was not learned from
    throw;
  }
  if (next_ == loader.size()) prepare_epoch();
  return next_ - before;
}

/// Draws the next order while the GPU is busy.
void CapturedTrainer::prepare_epoch() {
  try {
    batches_->loader().prepare_epoch();
  } catch (const OutOfMemory&) {  // it is drawn when the epoch begins
  }
}

void CapturedTrainer::wait_for_room(std::int64_t steps) {
  if (!joined_) collect();
  const std::int64_t most = joined_ ? JoinedGpuStep::kMaxQueued : StepReports::kMaxQueued;
  while (begun_ - arrived_ + steps > most) {
    if (reports_.has_arrived(arrived_)) {
      collect_one();
      continue;
    }
    // The GPU has work for long: this costs it nothing.
    gpu::queue(device_).poll();
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

void CapturedTrainer::take_step(std::int64_t first) {
  update_.prepare();
  const std::int64_t images = batches_->images(first);
  wait_for_room(1);
  if (model_.has_hooks()) return run(images, first);  // a replayed step would call none
  if (CapturedStep* const step = recorded(images, 1)) {
    const StepState now = state_now(optimizer_.steps() - step->steps_before(), first);
    step->count(model_, optimizer_);
    return launch(*step, now);
  }
  CapturedStep& step = step_of(images);
  if (!step.warm || !capturable_) {
    run(images, first);
    step.warm = true;
    return;
  }
  const StepState now = state_now(0, first);
  if (capture(step)) {
    launch(step, now);
  } else {
    run(images, first);
  }
}

bool CapturedTrainer::take_steps(std::int64_t first) {
  // A larger step takes so long that its launch does not show, and would need its memory twice.
  constexpr std::uint64_t kMaxBytes = 256 << 20;
  const std::int64_t images = batches_->images(first);
  const CapturedStep* const one = recorded(images, 1);
  if (model_.has_hooks() || !one || one->bytes() > kMaxBytes) return false;
  update_.prepare();
  if (CapturedStep* const steps = recorded(images, Trainer::kStepsAtOnce)) {
    wait_for_room(Trainer::kStepsAtOnce);
    const StepState now = state_now(optimizer_.steps() - steps->steps_before(), first);
    steps->count(model_, optimizer_);
    launch(*steps, now);
    return true;
  }
  if (!capturable_at_once_) return false;
  CapturedStep& steps = step_of(images, Trainer::kStepsAtOnce);
  wait_for_room(Trainer::kStepsAtOnce);
  const StepState now = state_now(0, first);
  if (!capture(steps)) return false;
  launch(steps, now);
  return true;
}

CapturedStep* CapturedTrainer::recorded(std::int64_t images, std::int64_t at_once) {
  CapturedStep& step = step_of(images, at_once);
  if (!step.is_captured()) return nullptr;
  if (step.holds(model_)) return &step;
  // All of them: the optimizer's count of updates is each parameter's no longer, so that none may be taken up again later.
  for (const auto& each : steps_) {
    each->drop();
    each->warm = false;
  }
  return nullptr;
}

CapturedStep& CapturedTrainer::step_of(std::int64_t images, std::int64_t at_once) {
  const auto found =
      std::ranges::find_if(steps_, [&](const auto& step) { return step->images() == images && step->at_once() == at_once; });
  return found != steps_.end() ? **found : *steps_.emplace_back(std::make_unique<CapturedStep>(images, at_once));
}

// ---- what a step is --------------------------------------------------------------------------------------------------

CapturedTrainer::Target CapturedTrainer::target() {
  if (joined_) return {joined_->own_state(), joined_->own_report(), 1};
  return {state_.on_device(), reports_.on_device(), StepReports::kMaxQueued};
}

CapturedTrainer::Judged CapturedTrainer::forward(std::int64_t images, std::int64_t first) {
  const GpuBatches::Part part = batches_->part(images);
  kernels::OrderedBatch unfilled;
  StepEnds ends;
  Batch batch;
  if (batches_->are_plain() && !model_.has_hooks()) {  // who see what a module gets
    unfilled = batches_->unfilled(images, first, activation_dtype(model_.precision(), stream_.device()));
    batch = {unfilled.batch, unfilled.batch_labels};
    ends.gathers = &unfilled;
    if (!joined_ || !joined_->shares_before()) ends.loss = loss_end(loss_, batch.labels, /*wants_value=*/false);
  } else {
    batch = batches_->gather(images, first, stream_);
  }
  ends.images_before = part.before;
  ends.counts = part.counts;
  const Tensor output = model_(batch.inputs, ends);
  if (!labels_checked_) batches_->check_labels(loss_, output, stream_);
  labels_checked_ = true;
  if (ends.loss && ends.loss->is_taken()) {
    return {ends.loss->gradient, {{ends.loss->parts, part.images, target().reports, target().slots}}, {}};
  }
  return evaluate(output, batch.labels);
}

CapturedTrainer::Judged CapturedTrainer::evaluate(const Tensor& output, const Tensor& labels) {
  const Tensor prepared = loss_.takes_unprepared(labels) ? labels : loss_.prepare(output, labels);
  const Tensor loss = loss_.evaluate(output, prepared);
  const auto [state, reports, slots] = target();
  gpu::report_step(output, {labels, loss_.takes_probabilities(labels), loss_.ignored_label()}, loss, state, reports, slots,
                   stream_);
  return {loss_.backward(), {}, joined_ && !loss_.is_sum() ? loss_.weight_of(prepared) : std::nullopt};
}

/// Of a step whose loss is not finite the others wait for the gradients, too.
void CapturedTrainer::join(const Judged& judged, std::int64_t images) {
  if (judged.report) kernels::cuda::report_parts(*judged.report, target().state, stream_);
  joined_->start(batches_->part(images).counts, judged.weight);
  joined_->backward(judged.gradient);
  joined_->report(state_.on_device(), reports_.on_device(), StepReports::kMaxQueued);
}

void CapturedTrainer::guard_buffers() {
  for (const auto& [buffer, backup] : buffers_) gpu::guard_buffer(state_.on_device(), buffer, backup, stream_);
}

void CapturedTrainer::run(std::int64_t images, std::int64_t first) {
  seen_ = finish();  // nothing must be built upon a step that failed
  const std::uint64_t random_step = model_.random_step();
  state_.set(state_now(0, first), stream_);
  gpu::StepReport& report = reports_.of(begun_);
  try {
    optimizer_.zero_grad();
    const Judged judged = forward(images, first);
    if (joined_) {
      join(judged, images);
    } else if (judged.report) {
      kernels::cuda::report_parts(*judged.report, state_.on_device(), stream_);
    }
    stream_.synchronize();
    if (report.failed) fail(report, 0);
    if (!joined_) model_.backward(judged.gradient);
    update_();
  } catch (const OutOfMemory&) {
    // As if it had not begun: another step will have this number, and must not be taken for it.
    report.number = 0;
    model_.set_random_step(random_step);
    throw;
  }
  seen_ += StepReports::metrics(report, loss_.is_sum());
  arrived_ = ++begun_;
}

/// All captured steps share the backups, so that each restores what the last one kept.
void CapturedTrainer::find_buffers() {
  const std::vector<Tensor> now = model_.buffers();
  const auto same = [](const auto& guarded, const Tensor& buffer) { return guarded.first.bytes() == buffer.bytes(); };
  if (std::ranges::equal(buffers_, now, same)) return;
  for (const auto& step : steps_) step->drop();
  buffers_.clear();
  for (const Tensor& buffer : now) buffers_.emplace_back(buffer, buffer.clone());
}

bool CapturedTrainer::capture(CapturedStep& step) {
  const std::int64_t steps_before = optimizer_.steps();
  const std::uint64_t random_step = model_.random_step();
  find_buffers();
  gpu::Capture capture(device_, state_.on_device());
  try {
    const MemoryPlan::Open open(step.new_memory(device_));
    for (std::int64_t i = 0; i < step.at_once(); ++i) {
      // The state counts what differs: each is recorded as the first.
      model_.set_random_step(random_step);
      optimizer_.count_steps(steps_before - optimizer_.steps());
      record(step.images());
    }
    step.keep(capture.finish(), model_, optimizer_, steps_before, model_.random_step() != random_step);
  } catch (const std::exception& error) {
    // A layer read what it computed, a vendor's call cannot be recorded, or there is no room for memory of the step's own: what
    // works call by call goes on so.
    step.drop();
    model_.set_random_step(random_step);
    optimizer_.count_steps(steps_before - optimizer_.steps());
    const bool no_room = dynamic_cast<const Error*>(&error) || dynamic_cast<const std::bad_alloc*>(&error);
    if (!capture.refused() && !no_room) throw;
    (step.at_once() == 1 ? capturable_ : capturable_at_once_) = false;
    return false;
  }
  return true;
}

namespace {

/// Whether a parameter belongs to several layers.
bool has_shared_parameters(Module& model) {
  std::size_t places = 0;
  for_tree(
      model, [](const Module&) {}, [&](const Parameter&) { ++places; });
  return places != model.parameters().size();
}

}  // namespace

void CapturedTrainer::record(std::int64_t images) {
  optimizer_.zero_grad();
  const std::uint64_t random_step = model_.random_step();
  const Judged judged = forward(images, 0);
  const bool counts_forward = model_.random_step() != random_step;
  if (joined_) {
    join(judged, images);
    update_();
    guard_buffers();
    return gpu::advance(state_.on_device(), images, counts_forward, stream_);
  }
  // The guard of buffers must know of a failure, and not of the next step. A parameter of two layers may get its second gradient
  // by other means than slices.
  if (!update_.is_adam_alone() || !buffers_.empty() || has_shared_parameters(model_)) {
    if (judged.report) kernels::cuda::report_parts(*judged.report, state_.on_device(), stream_);
    model_.backward(judged.gradient);
    update_();
    guard_buffers();
    return gpu::advance(state_.on_device(), images, counts_forward, stream_);
  }
  kernels::cuda::StepTail tail(state_.on_device(), judged.report, {images, counts_forward});
  model_.backward(judged.gradient);
  update_();
  tail.flush(stream_);
  if (!tail.is_closed()) gpu::advance(state_.on_device(), images, counts_forward, stream_);
}

void CapturedTrainer::launch(const CapturedStep& step, const StepState& now) {
  state_.set(now, stream_);
  step.launch();
  for (std::int64_t i = 0; i < step.at_once(); ++i) {
    if (i > 0) step.count(model_, optimizer_);
    random_steps_[static_cast<std::size_t>(begun_ % StepReports::kMaxQueued)] = model_.random_step();
    ++begun_;
    state_.advance(step.images(), step.counts_forward());
  }
}

StepState CapturedTrainer::state_now(std::int64_t updates, std::int64_t first) {
  static_assert(Optimizer::kMaxGroups == kMaxStepStateGroups);
  StepState now{.random_step = model_.random_step(),
                .epoch = batches_->loader().transform(first).epoch,
                .first = first + batches_->part(batches_->images(first)).before,
                .updates = updates,
                .steps = begun_};
  for (std::size_t group = 0; group < optimizer_.groups(); ++group) {
    now.lr[group] = optimizer_.lr(group);
    if (optimizer_.has_momentum()) now.momentum[group] = optimizer_.momentum(group);
  }
  return now;
}

// ---- what steps report -----------------------------------------------------------------------------------------------

void CapturedTrainer::collect() {
  while (arrived_ < begun_ && reports_.has_arrived(arrived_)) collect_one();
}

void CapturedTrainer::collect_one() {
  gpu::queue(device_).throw_failure();  // of other ranks, which spoils reports
  const gpu::StepReport& report = reports_.of(arrived_);
  if (report.failed) fail(report, begun_ - arrived_);
  seen_ += StepReports::metrics(report, loss_.is_sum());
  ++arrived_;
}

/// Where there are other ranks nobody looks at what happens to have arrived: of a failure all learn at the same step, so that none
/// queues a step that others do not.
Metrics CapturedTrainer::take() {
  if (!joined_) collect();
  return std::exchange(seen_, Metrics{});
}

Metrics CapturedTrainer::finish() {
  stream_.synchronize();
  collect();
  return take();
}

/// `updates`: how many were counted from this step on, of which none was made.
void CapturedTrainer::fail(const gpu::StepReport& report, std::int64_t updates) {
  const gpu::StepReport failed = report;
  stream_.synchronize();
  optimizer_.count_steps(-updates);
  optimizer_.zero_grad();  // the queued steps have written others
  if (updates > 0) model_.set_random_step(random_steps_[static_cast<std::size_t>(arrived_ % StepReports::kMaxQueued)]);
  begun_ = arrived_ = failed.number;
  reports_.forget();
  state_.reset(state_now(0, 0), stream_);
  throw NonFiniteLoss(failed.loss, failed.number);
}

}  // namespace gpucnn
