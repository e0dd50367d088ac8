#include <gpucnn/core/parameter.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/backend.h>
#include <gpucnn/core/random_uniforms.h>
#include <gpucnn/core/text/formatted.h>

namespace gpucnn {

struct Parameter::State {
  Shape shape;
  Init init;
  std::string name;
  Tensor value, grad;  // undefined until packed or loaded
  bool has_grad = false;
  bool requires_grad = true;
  Slot slot{};
};

bool Init::valid() const noexcept {
  return std::isfinite(low) && std::isfinite(high) && low <= high && std::isfinite(deviation) && deviation >= 0;
}

namespace {

void check(Init init) {
  if (init.valid()) return;
  throw std::invalid_argument(
      formatted("Parameter: cannot draw from [{}, {}) with a deviation of {}; they must be finite, in "
                "order, and the deviation at least 0",
                init.low, init.high, init.deviation));
}

}  // namespace

Parameter::Parameter(const Shape& shape, Init init) : state_(std::make_shared<State>(State{.shape = shape, .init = init})) {
  check(init);
}

Parameter::State& Parameter::state() const {
  if (!state_) throw std::logic_error("Parameter: an empty handle names no parameter");
  return *state_;
}

const std::string& Parameter::name() const { return state().name; }

const Shape& Parameter::shape() const { return state().shape; }

Tensor Parameter::value() const {
  if (!state().value.defined()) {
    throw std::logic_error("Parameter: no values yet; call init(seed) on the model, use it once, or load a state_dict");
  }
  return state_->value;
}

bool Parameter::has_value() const { return state().value.defined(); }

Init Parameter::init() const { return state().init; }

void Parameter::set_init(Init init) {
  check(init);
  state().init = init;
}

Tensor Parameter::grad() const { return state().has_grad ? state_->grad : Tensor{}; }

bool Parameter::has_grad() const { return state().has_grad; }

void Parameter::zero_grad() { state().has_grad = false; }

namespace {
std::atomic<std::uint64_t> freezes_so_far{1};
}

std::uint64_t Parameter::freezes() noexcept { return freezes_so_far.load(std::memory_order_acquire); }

void Parameter::requires_grad(bool on) {
  if (std::exchange(state().requires_grad, on) != on) freezes_so_far.fetch_add(1, std::memory_order_acq_rel);
  if (!on) zero_grad();
}

bool Parameter::requires_grad() const { return state().requires_grad; }

void Parameter::accumulate_grad(const Tensor& gradient) {
  if (!gradient.defined() || gradient.shape() != shape() || gradient.dtype() != DType::f32) {
    throw std::invalid_argument(
        formatted("Parameter {}: expects an f32 gradient of {}, got {}", name(), shape().string(), gradient.shape().string()));
  }
  if (!state().requires_grad) return;
  auto [grad, accumulate] = grad_target();
  if (!accumulate) return grad.copy_from(gradient);
  const Tensor more = gradient.to(grad.device());
  backend::add(grad.device(), grad.device_data<float>(), more.device_data<float>(), grad.numel());
}

Parameter::GradTarget Parameter::grad_target() {
  State& own = state();
  if (!own.grad.defined()) own.grad = Tensor::zeros(own.shape, DType::f32, value().device());
  return {own.grad, std::exchange(own.has_grad, own.requires_grad)};
}

Parameter::Slot Parameter::slot() const {
  if (!state().slot.values.defined()) {
    throw std::logic_error("Parameter: belongs to no model yet; take it from the model's parameters()");
  }
  return state_->slot;
}

void Parameter::set_value(const Tensor& value) {
  State& own = state();
  if (!value.defined() || value.shape() != own.shape || value.dtype() != DType::f32) {
    throw std::invalid_argument(formatted("Parameter {}: expects f32 {}, got {} {}", own.name, own.shape.string(),
                                          name_of(value.dtype()), value.shape().string()));
  }
  if (own.value.defined()) {
    own.value.copy_from(value);
  } else {
    own.value = value.clone();
  }
}

namespace {

/// One of two independent normal numbers that two uniform ones make.
float normal(float first, float second, bool other) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - double{first}));  // 1 - u is in (0, 1], where the logarithm is finite
  const double angle = 2.0 * std::numbers::pi * double{second};
  return static_cast<float>(radius * (other ? std::sin(angle) : std::cos(angle)));
}

Tensor drawn(const Shape& shape, Init init, std::uint64_t seed, std::size_t index) {
  Tensor flat = Tensor::full({shape.numel()}, init.low);
  const std::span<float> values(flat.data<float>(), static_cast<std::size_t>(shape.numel()));
  const RandomStream random(seed, Purpose::weights, static_cast<std::uint32_t>(index));
  if (init.deviation > 0) {
    random_uniforms(random, shape.numel(), [&](std::int64_t first, const std::array<float, 4>& uniform) {
      const std::size_t e = static_cast<std::size_t>(first), count = std::min<std::size_t>(4, values.size() - e);
      for (std::size_t i = 0; i < count; ++i)
        values[e + i] += init.deviation * normal(uniform[i & ~1U], uniform[i | 1U], i % 2 == 1);
    });
  } else if (init.high > init.low) {
    random_uniforms(random, shape.numel(), [&](std::int64_t first, const std::array<float, 4>& uniform) {
      const std::size_t e = static_cast<std::size_t>(first), count = std::min<std::size_t>(4, values.size() - e);
      for (std::size_t i = 0; i < count; ++i) values[e + i] += (init.high - init.low) * uniform[i];
    });
  }
  return Tensor::from(values, shape);
}

}  // namespace

void Arena::pack(const std::vector<Parameter>& parameters, const std::vector<std::string>& names, std::uint64_t seed,
                 Device device) {
  std::int64_t total = 0;
  for (const Parameter& parameter : parameters) {
    if (parameter.numel() > std::numeric_limits<std::int64_t>::max() - kAlignment ||
        __builtin_add_overflow(total, padded(parameter.numel()), &total)) {
      throw std::invalid_argument("Arena: the parameters have more elements than 63 bits count");
    }
  }
  const Tensor values = Tensor::zeros({total}, DType::f32, device);
  const Tensor grads = Tensor::zeros({total}, DType::f32, device);
  std::int64_t first = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {  // all that may find no room: no parameter has changed if it throws
    Parameter::State& state = parameters[i].state();
    values.view(first, state.shape).copy_from(state.value.defined() ? state.value : drawn(state.shape, state.init, seed, i));
    if (state.has_grad) grads.view(first, state.shape).copy_from(state.grad);
    first += padded(state.shape.numel());
  }
  first = 0;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Parameter::State& state = parameters[i].state();
    state.name = names[i];
    state.slot = {values, grads, first};
    state.value = values.view(first, state.shape);
    state.grad = grads.view(first, state.shape);
    first += padded(state.shape.numel());
  }
}

void Arena::draw(const std::vector<Parameter>& parameters, std::uint64_t seed) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    Parameter::State& state = parameters[i].state();
    parameters[i].value().copy_from(drawn(state.shape, state.init, seed, i));
  }
}

}  // namespace gpucnn
