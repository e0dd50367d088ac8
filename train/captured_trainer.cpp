#include <gpucnn/train/captured_trainer.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/kernels/copy/labels.h>
#include <gpucnn/kernels/image/ordered_batch.h>
#include <gpucnn/kernels/loss/softmax_cross_entropy.h>
#include <gpucnn/train/train_step.h>

namespace gpucnn {
namespace {

bool same(const StepState& a, const StepState& b) {
  return a.forwards == b.forwards && a.epoch == b.epoch && a.first == b.first && a.updates == b.updates && a.lr == b.lr &&
         a.steps == b.steps;
}

Metrics metrics_of(const gpu::StepReport& report) {
  const FloatEnvironment standard;
  return {report.loss * static_cast<double>(report.images), report.correct, report.images};
}

}  // namespace

std::unique_ptr<Trainer::Impl> Trainer::Impl::captured(Module& model, Optimizer& optimizer, DataLoader& loader) {
  const Device device = model.device();
  const auto* dataset = dynamic_cast<const TensorDataset*>(&loader.dataset());
  if (device.kind != Device::Kind::cuda || !dataset || dataset->device() != device) return nullptr;
  if (loader.options().device.value_or(device) != device) return nullptr;
  return std::make_unique<CapturedSteps>(model, optimizer, loader, *dataset);
}

CapturedSteps::CapturedSteps(Module& model, Optimizer& optimizer, DataLoader& loader, const TensorDataset& dataset)
    : model_(model),
      optimizer_(optimizer),
      loader_(loader),
      dataset_(dataset),
      device_(model.device()),
      stream_(device_),
      state_(Tensor::zeros({sizeof(StepState)}, DType::u8, device_)) {
  void* host = nullptr;
  void* mapped = nullptr;
  const gpu::StreamInUse current = gpu::queue(device_).stream();  // only the current GPU may write to this memory
  gpu::check(cudaHostAlloc(&host, kSlots * sizeof(gpu::StepReport), cudaHostAllocMapped), "cudaHostAlloc");
  reports_.reset(static_cast<gpu::StepReport*>(host));
  std::uninitialized_fill_n(reports_.get(), kSlots, gpu::StepReport{});
  gpu::check(cudaHostGetDevicePointer(&mapped, host, 0), "cudaHostGetDevicePointer");
  reports_on_device_ = static_cast<gpu::StepReport*>(mapped);
}

CapturedSteps::~CapturedSteps() {
  // The reports must not go before the last step has written one.
  try {
    cudaStreamSynchronize(gpu::queue(device_).stream());
  } catch (const Error&) {  // the GPU is gone, and nobody writes
  }
}

void CapturedSteps::start_epoch() {
  loader_.start_epoch();
  const std::span<const std::int64_t> order = loader_.order();
  if (!order_.defined()) order_ = Tensor::empty({order.size()}, DType::i64, device_);
  order_.copy_from(Tensor::from(order, order_.shape()));
  next_ = 0;
}

bool CapturedSteps::step() {
  if (!order_.defined() || next_ >= loader_.size()) return false;
  try {
    take_step(next_++ * loader_.options().batch_size);
  } catch (const OutOfMemory&) {
    --next_;  // the batch was not learned from
    throw;
  }
  return true;
}

void CapturedSteps::take_step(std::int64_t first) {
  const std::int64_t images = std::min(loader_.options().batch_size, loader_.dataset().size() - first);
  while (collect(), begun_ - arrived_ == kSlots) {
    // The GPU has work for long: this costs it nothing.
    gpu::queue(device_).poll();
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
  Step& step = step_of(images);
  if (step.graph && !holds(step)) {
    step.graph.reset();
    step.warm = false;
  }
  if (!step.graph && !(step.warm && capturable_)) {
    run(images, first);
    step.warm = true;
    return;
  }
  if (step.graph) {
    const StepState now = state_now(optimizer_.updates_ - step.updates, first);
    // What the captured calls did on the host, without them.
    optimizer_.zero_grad();
    for (Parameter& parameter : step.learned) parameter.grad_target();
    optimizer_.count_updates(1);
    if (step.counts_forward) ++model_.training_forwards();
    return launch(step, now);
  }
  const StepState now = state_now(0, first);
  if (capture(step)) {
    launch(step, now);
  } else {
    run(images, first);
  }
}

CapturedSteps::Step& CapturedSteps::step_of(std::int64_t images) {
  const auto found = std::ranges::find(steps_, images, [](const auto& step) { return step->images; });
  return found != steps_.end() ? **found : *steps_.emplace_back(std::make_unique<Step>(images));
}

// ---- what a step is --------------------------------------------------------------------------------------------------

Batch CapturedSteps::gather(std::int64_t images, std::int64_t first) {
  Batch batch{Tensor::empty(dataset_.images().shape().with(0, images), DType::f32, device_),
              Tensor::empty({images}, DType::i32, device_)};
  kernels::ordered_batch(dataset_.images(), dataset_.labels(), order_, loader_.transform(first), batch.inputs, batch.labels,
                         stream_);
  return batch;
}

std::pair<Tensor, Tensor> CapturedSteps::lose(const Tensor& logits, const Tensor& labels) {
  Tensor loss = Tensor::empty({}, DType::f32, device_), dlogits = Tensor::empty(logits.shape(), DType::f32, device_);
  kernels::softmax_cross_entropy(logits, labels, loss, dlogits, stream_);
  gpu::report_step(logits, labels, loss, step_state(), reports_on_device_, kSlots, stream_);
  return {loss, dlogits};
}

void CapturedSteps::check_labels(std::int64_t num_classes) {
  Tensor classes = Tensor::empty(dataset_.labels().shape(), DType::i32, device_);
  kernels::to_labels(dataset_.labels(), num_classes, classes, stream_);
  stream_.synchronize();
}

void CapturedSteps::run(std::int64_t images, std::int64_t first) {
  seen_ = finish();  // nothing must be built upon a step that failed
  const std::uint64_t forwards = model_.training_forwards();
  set_step_state(state_now(0, first));
  gpu::StepReport& report = reports_[static_cast<std::size_t>(begun_ % kSlots)];
  try {
    const Batch batch = gather(images, first);
    optimizer_.zero_grad();
    const Tensor logits = model_(batch.inputs);
    if (!std::exchange(labels_checked_, true)) check_labels(logits.dim(1));
    const auto [loss, dlogits] = lose(logits, batch.labels);
    stream_.synchronize();
    if (report.failed) fail(report, 0);
    model_.backward(dlogits);
    optimizer_.step();
  } catch (const OutOfMemory&) {
    // As if it had not begun: another step will have this number, and must not be taken for it.
    report.number = 0;
    model_.training_forwards() = forwards;
    throw;
  }
  seen_ += metrics_of(report);
  arrived_ = ++begun_;
}

bool CapturedSteps::capture(Step& step) {
  const std::int64_t updates = optimizer_.updates_;
  const std::uint64_t forwards = model_.training_forwards();
  gpu::Capture capture(device_, step_state());
  step.memory.emplace(device_);
  try {
    record(step);
    step.graph = capture.finish();
  } catch (const std::exception& error) {
    // A layer read what it computed, a vendor's call cannot be recorded, or there is no room for memory of the step's own: what
    // works call by call goes on so.
    step.memory.reset();
    model_.training_forwards() = forwards;
    optimizer_.count_updates(updates - optimizer_.updates_);
    const bool no_room = dynamic_cast<const Error*>(&error) || dynamic_cast<const std::bad_alloc*>(&error);
    if (!capture.refused() && !no_room) throw;
    capturable_ = false;
    return false;
  }
  step.updates = updates;
  step.counts_forward = model_.training_forwards() != forwards;
  step.parameters = model_.memory();
  step.precision = model_.precision();
  step.learned.clear();
  for (const Optimizer::Item& item : optimizer_.items_) {
    if (item.parameter.has_grad()) step.learned.push_back(item.parameter);
  }
  return true;
}

void CapturedSteps::record(Step& step) {
  const MemoryPlan::Open open(*step.memory);
  const Batch batch = gather(step.images, 0);
  optimizer_.zero_grad();
  const std::uint64_t forwards = model_.training_forwards();
  const Tensor logits = model_(batch.inputs);
  const auto [loss, dlogits] = lose(logits, batch.labels);
  model_.backward(dlogits);
  optimizer_.step();
  gpu::advance(step_state(), step.images, model_.training_forwards() != forwards, stream_);
}

/// Whether the model computes as it did, with its parameters where the graph has them.
bool CapturedSteps::holds(const Step& step) {
  const auto same_place = [](const Tensor& a, const Tensor& b) { return a.bytes() == b.bytes(); };
  return step.precision == model_.precision() && std::ranges::equal(step.parameters, model_.memory(), same_place);
}

void CapturedSteps::launch(const Step& step, const StepState& now) {
  set_step_state(now);
  step.graph->launch();
  ++begun_;
  if (step.counts_forward) ++on_device_.forwards;
  ++on_device_.updates;
  ++on_device_.steps;
  on_device_.first += step.images;
}

// ---- the step's state -------------------------------------------------------------------------------------------------------

StepState CapturedSteps::state_now(std::int64_t updates, std::int64_t first) {
  return {.forwards = model_.training_forwards(),
          .epoch = loader_.transform(first).epoch,
          .first = first,
          .updates = updates,
          .lr = optimizer_.lr(),
          .steps = begun_};
}

void CapturedSteps::set_step_state(const StepState& now) {
  if (!same(on_device_, now)) gpu::set_step_state(step_state(), now, false, stream_);
  on_device_ = now;
}

// ---- what steps came to ----------------------------------------------------------------------------------------------

void CapturedSteps::collect() {
  while (arrived_ < begun_) {
    gpu::StepReport& report = reports_[static_cast<std::size_t>(arrived_ % kSlots)];
    if (std::atomic_ref(report.number).load(std::memory_order_acquire) != arrived_ + 1) return;
    if (report.failed) fail(report, begun_ - arrived_);
    seen_ += metrics_of(report);
    ++arrived_;
  }
}

Metrics CapturedSteps::take() {
  collect();
  return std::exchange(seen_, Metrics{});
}

Metrics CapturedSteps::finish() {
  stream_.synchronize();
  return take();
}

/// `updates`: how many were counted from this step on, of which none was made.
void CapturedSteps::fail(const gpu::StepReport& report, std::int64_t updates) {
  const gpu::StepReport failed = report;
  stream_.synchronize();
  optimizer_.count_updates(-updates);
  if (updates > 1) model_.training_forwards() -= static_cast<std::uint64_t>(updates - 1);
  begun_ = arrived_ = failed.number;
  gpu::set_step_state(step_state(), on_device_ = state_now(0, 0), true, stream_);
  throw NonFiniteLoss(failed.loss, failed.number);
}

}  // namespace gpucnn
