#include <stdexcept>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/copy/cast.h>
#include <gpucnn/kernels/copy/round_to_bf16.h>
#include <gpucnn/layers/module/module.h>
#include <gpucnn/layers/module/module_root.h>
#include <gpucnn/layers/module/step_ends.h>

namespace gpucnn {
namespace {

Tensor as(DType dtype, const Tensor& x, Stream& stream) {
  if (!x.defined() || x.dtype() == dtype) return x;
  Tensor y = Tensor::empty(x.shape(), dtype, x.device());
  kernels::cast(x, y, stream);
  return y;
}

}  // namespace

// ---- who may call ----------------------------------------------------------------------------------------------------

Module::ExclusiveCall::ExclusiveCall(Root& root, const Module& module) : root_(root) {
  int idle = 0;
  if (root.busy.compare_exchange_strong(idle, -1, std::memory_order_acquire)) {
    root.busy_thread.store(std::this_thread::get_id(), std::memory_order_relaxed);
    return;
  }
  throw std::logic_error(
      formatted("{}: another call of the same model is under way; only predict may run beside predict, and forward and gradients "
                "hand their context on: layer(x, context)",
                module.label()));
}

Module::ExclusiveCall::~ExclusiveCall() {
  root_.busy_thread.store(std::thread::id(), std::memory_order_relaxed);
  root_.busy.store(0, std::memory_order_release);
}

Module::Prediction::Prediction(Root& root, const Module& module) : root_(root) {
  int busy = root.busy.load(std::memory_order_relaxed);
  do {
    if (busy >= 0) continue;
    if (root.busy_thread.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
      counted_ = false;
      return;
    }
    throw std::logic_error(
        formatted("{}: another call of the same model is under way, which trains or changes it", module.label()));
  } while (!root.busy.compare_exchange_weak(busy, busy + 1, std::memory_order_acquire));
}

Module::Prediction::~Prediction() {
  if (counted_) root_.busy.fetch_sub(1, std::memory_order_release);
}

// ---- forward ---------------------------------------------------------------------------------------------------------

Tensor Module::Root::refresh_operands() {
  if (!rounds_factors(precision, stream.device())) {
    kernels::cast(values, operands, stream);
    return operands;
  }
  const std::scoped_lock lock(rounding);
  if (rounded.are_those_of(values)) return operands;
  rounded.forget();
  operands = kernels::cpu::rounded_to_bf16(values);  // in other memory: predictions may be reading the ones before
  rounded.note(values);
  return operands;
}

void Module::Root::refresh_operands(std::uint64_t call) {
  if (std::exchange(operands_of, call) != call) refresh_operands();
}

bool Module::takes_ends() const { return false; }

bool Module::gathers(const kernels::OrderedBatch&) const { return false; }

Tensor Module::operator()(const Tensor& x) {
  check_input(x, named_root());
  return run_training(x, nullptr);
}

Tensor Module::operator()(const Tensor& x, StepEnds& ends) {
  if (!ends.gathers) {
    check_input(x, named_root());
  } else {
    shape_of(*this, x.shape());
    const Root& root = packed_root();  // where it was chosen how the layers run
    const bool as_it_is = takes_ends() && x.dtype() == activation_dtype(root.precision, root.stream.device());
    if (!as_it_is || !gathers(*ends.gathers)) kernels::ordered_batch(*std::exchange(ends.gathers, nullptr), named_root().stream);
  }
  return run_training(x, &ends);
}

Tensor Module::run_training(const Tensor& x, StepEnds* ends) {
  shape_of(*this, x.shape());
  Root& root = packed_root();
  const ExclusiveCall alone(root, *this);
  Context::Call call{.root = root,
                     .predicting = false,
                     .number = root.calls.fetch_add(1, std::memory_order_relaxed) + 1,
                     .random_step = root.random_step,
                     .counts = training(),
                     .ends = ends,
                     .leader = takes_ends() ? this : nullptr,
                     .images_before = ends ? ends->images_before : 0,
                     .is_part = !ends || ends->counts};
  Tensor y = run_outermost(x, call);
  // A forward that failed draws again what it drew.
  if (call.counts) ++root.random_step;
  return y;
}

Tensor Module::operator()(const Tensor& x, Context& context) const {
  require_part_of(context.call_);
  return run_forward(x, context.call_);
}

Tensor Module::predict(const Tensor& x) const {
  check_input(x, named_root());
  shape_of(*this, x.shape());
  Root* found = &packed_root();
  while (found->retired.load(std::memory_order_acquire)) found = &packed_root();  // a larger model has just taken this one in
  Root& root = *found;
  const Prediction beside_others(root, *this);
  Context::Call call{.root = root, .predicting = true, .number = 0, .random_step = root.random_step};
  return run_outermost(x, call);
}

/// Forward, between f32 outside the outermost call and the precision's dtype inside.
Tensor Module::run_outermost(const Tensor& x, Context::Call& call) const {
  Root& root = call.root;
  if (root.precision != Precision::bf16) return run_forward(x, call);
  // On a GPU predictions at the same time write the same values, one after the other in the device's queue.
  if (call.predicting && root.values.defined()) call.operands = root.refresh_operands();
  const DType inside = activation_dtype(root.precision, root.stream.device());
  return as(DType::f32, run_forward(as(inside, x, root.stream), call), root.stream);
}

Tensor Module::run_forward(const Tensor& x, Context::Call& call) const {
  if (call.predicting) {
    Context context(*this, call, nullptr, false);
    Tensor y = forward(x, context);
    if (hooks_) run_hooks(x, y, false);
    return y;
  }
  note_use(call);
  if (!saved_) saved_ = std::make_unique<Context::Saved>();
  saved_->there = false;
  saved_->tensors.clear();
  Context context(*this, call, saved_.get(), false);
  Tensor y = forward(x, context);
  saved_->x = x.shape();
  saved_->y = y.shape();
  saved_->training = training();
  saved_->random_step = call.random_step;
  saved_->images_before = call.images_before;
  saved_->is_part = call.is_part;
  saved_->generation = call.root.generation;
  saved_->call = call.number;
  saved_->there = true;
  if (hooks_) run_hooks(x, y, false);
  return y;
}

void Module::check_input(const Tensor& x, const Root& root) const {
  if (!x.defined()) throw std::invalid_argument(formatted("{}: the input is undefined", label()));
  if (x.dtype() != DType::f32) {
    throw std::invalid_argument(formatted("{}: expects an f32 input, got {}", label(), name_of(x.dtype())));
  }
  if (x.device() != root.stream.device()) {
    throw std::invalid_argument(
        formatted("{}: the input is on {}, the model on {}", label(), x.device().string(), root.stream.device().string()));
  }
}

/// Throws in the second use within one call whose backward would need both.
void Module::note_use(const Context::Call& call) const {
  if (!call.predicting && std::exchange(last_call_, call.number) == call.number) {
    throw std::logic_error(formatted("{}: used twice in one forward; a backward needs an instance for each use", label()));
  }
}

void Module::require_part_of(const Context::Call& call) const {
  refuse_moved_from(*this);
  if (shown_.load(std::memory_order_acquire) == &call.root) return;
  throw std::logic_error(formatted("{}: is no part of the model that calls it; `members` must report it", label()));
}

// ---- backward --------------------------------------------------------------------------------------------------------

void Module::fail_backward() const {
  throw std::logic_error(formatted("{}: backward without a forward before it; each forward serves one backward", label()));
}

Tensor Module::backward(const Tensor& dy) { return start_backward(dy, nullptr); }

Tensor Module::backward(const Tensor& dy, const GradientsFrom& gradients_from) { return start_backward(dy, &gradients_from); }

Tensor Module::start_backward(const Tensor& dy, const GradientsFrom* gradients_from) {
  Root& root = named_root();
  if (!saved_ || !saved_->there) fail_backward();
  if (saved_->generation != root.generation) {
    throw std::logic_error(formatted("{}: backward after the model was changed; what its forward kept is gone", label()));
  }
  const ExclusiveCall alone(root, *this);
  if (spread_ != Parameter::freezes()) spread_input_grad();
  Context::Call call{.root = root,
                     .predicting = false,
                     .number = root.calls.fetch_add(1, std::memory_order_relaxed) + 1,
                     .random_step = saved_->random_step,
                     .forward = saved_->call,
                     .leader = takes_ends() ? this : nullptr,
                     .images_before = saved_->images_before,
                     .is_part = saved_->is_part,
                     .gradients_from = gradients_from};
  return as(DType::f32, run_backward(dy, call), root.stream);
}

Tensor Module::backward(const Tensor& dy, Context& context) {
  require_part_of(context.call_);
  if (!input_grad_ && !learns(*this)) {  // as a branch of a container may be that learns elsewhere
    if (!saved_) return {};
    saved_->there = false;
    saved_->tensors.clear();  // its memory is kept: a step that repeats itself allocates nothing
    return {};
  }
  return run_backward(dy, context.call_);
}

Tensor Module::run_backward(const Tensor& dy, Context::Call& call) {
  if (!saved_ || !saved_->there) fail_backward();
  if (saved_->call != call.forward && saved_->call != call.number) {
    throw std::logic_error(formatted("{}: has had a forward of its own since that of the model whose backward this is", label()));
  }
  Root& root = call.root;
  const DType inside = activation_dtype(root.precision, root.stream.device());
  if (!dy.defined() || (dy.dtype() != DType::f32 && dy.dtype() != inside) || dy.shape() != saved_->y) {
    throw std::invalid_argument(formatted(
        "{}: backward expects an f32 gradient of {}, got {}", label(), saved_->y.string(),
        dy.defined() ? formatted("{} {}", name_of(dy.dtype()), dy.shape().string()) : std::string("an undefined tensor")));
  }
  if (dy.device() != root.stream.device()) {
    throw std::invalid_argument(
        formatted("{}: the gradient is on {}, the model on {}", label(), dy.device().string(), root.stream.device().string()));
  }
  // From here on the forward has served, whether this succeeds or not.
  struct GiveBack {
    Context::Saved& saved;
    ~GiveBack() { saved.tensors.clear(); }
  } const give_back{*saved_};
  saved_->there = false;
  Context context(*this, call, saved_.get(), true);
  const Tensor of_y = as(inside, dy, root.stream);
  Tensor dx = gradients(of_y, context);
  if (!input_grad_) dx = {};
  if (hooks_) run_hooks(dx, of_y, true);
  return dx;
}

}  // namespace gpucnn
