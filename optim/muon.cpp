#include <gpucnn/optim/muon.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/muon/muon.h>
#include <gpucnn/optim/adam_step.h>
#include <gpucnn/optim/option_rules.h>
#include <gpucnn/optim/orthogonalizer.h>

namespace gpucnn {

namespace {

void check_options(const MuonOptions& options) {
  require_not_negative("lr", options.lr);
  require_not_negative("weight_decay", options.weight_decay);
  require_not_negative("momentum", options.momentum);
  for (const double coefficient : options.ns_coefficients) require_finite("ns_coefficients", coefficient);
  require_not_negative("eps", options.eps);
  require_option(options.ns_steps >= 0 && options.ns_steps < 100, "ns_steps", options.ns_steps, "in [0, 100)");
  check_options(as_adam(options.adamw), "adamw.");
}

bool is_matrix(const Parameter& parameter, const MuonOptions& options) {
  return options.use_muon && parameter.shape().rank() >= 2 && parameter.numel() > 0;
}

double lr_ratio(AdjustLr adjust, const Shape& shape) {
  const auto rows = static_cast<double>(shape[0]), columns = static_cast<double>(shape[1]);
  switch (adjust) {
    case AdjustLr::match_rms_adamw: return 0.2 * std::sqrt(std::max(rows, columns));
    case AdjustLr::spectral_unclamped: return std::sqrt(rows / columns);
    case AdjustLr::original: break;
  }
  return std::sqrt(std::max(1.0, rows / columns));
}

}  // namespace

/// What Muon has, in the order of the optimizer's parameters.
struct Muon::Matrices {
  struct Matrix {
    std::int64_t first;  // as a Range's
    Shape shape;         // [R, C]
  };

  explicit Matrices(const std::vector<ParameterGroup<MuonOptions>>& groups) {
    std::int64_t first = 0;
    for (const auto& [parameters, options] : groups) {
      for (const Parameter& parameter : parameters) {
        if (!is_matrix(parameter, options)) continue;
        const std::int64_t rows = parameter.shape()[0];
        all.push_back({first, {rows, parameter.numel() / rows}});
        first += Arena::padded(parameter.numel());
      }
    }
  }

  Orthogonalizer& orthogonalizer(const Shape& shape, Device device) {
    if (device != device_) orthogonalizers_.clear();
    device_ = device;
    for (Orthogonalizer& each : orthogonalizers_) {
      if (each.serves(shape, device)) return each;
    }
    return orthogonalizers_.emplace_back(shape, device);
  }

  std::vector<Matrix> all;

 private:
  std::vector<Orthogonalizer> orthogonalizers_;  // one for each shape
  Device device_;
};

std::vector<ParameterGroup<Optimizer::Settings>> Muon::split(const std::vector<ParameterGroup<MuonOptions>>& groups) {
  if (groups.size() > kMaxMuonGroups) {
    throw std::invalid_argument(formatted("Muon: has {} groups of parameters, may have {}", groups.size(), kMaxMuonGroups));
  }
  std::vector<ParameterGroup<Settings>> halves(2 * groups.size());
  for (std::size_t group = 0; group < groups.size(); ++group) {
    const auto& [parameters, options] = groups[group];
    check_options(options);
    ParameterGroup<Settings>&matrices = halves[group], &others = halves[groups.size() + group];
    matrices.options = {options.lr, options.momentum};
    others.options = {options.adamw.lr, options.adamw.betas.first};
    for (const Parameter& parameter : parameters) {
      (is_matrix(parameter, options) ? matrices : others).parameters.push_back(parameter);
    }
  }
  return halves;
}

Muon::Muon(std::vector<Parameter> parameters, const MuonOptions& options)
    : Muon(std::vector<ParameterGroup<MuonOptions>>{{std::move(parameters), options}}) {}

Muon::Muon(const std::vector<ParameterGroup<MuonOptions>>& groups)
    : Optimizer(split(groups)), options_(options_of(groups)), matrices_(std::make_unique<Matrices>(groups)) {
  const std::size_t n = groups.size();
  add_state("momentum_buffer", [=](std::size_t group) { return group < n; });
  add_state("exp_avg", [=](std::size_t group) { return group >= n; });
  add_state("exp_avg_sq", [=](std::size_t group) { return group >= n; });
  add_state("max_exp_avg_sq", [&](std::size_t group) { return group >= n && options_[group - n].adamw.amsgrad; });
}

Muon::~Muon() = default;
Muon::Muon(Muon&&) noexcept = default;
Muon& Muon::operator=(Muon&&) noexcept = default;

void Muon::check_momentum(std::size_t group, double momentum) const {
  if (group < options_.size()) return Optimizer::check_momentum(group, momentum);
  require_fraction("adamw.betas.first", momentum);
}

void Muon::update(const Range& range, Stream& stream) {
  if (range.group >= options_.size()) return update_by_adamw(range, stream);
  const MuonOptions& options = options_[range.group];
  kernels::MuonStep step{.lr = lr(range.group),
                         .lr_ratio = 1,
                         .weight_decay = options.weight_decay,
                         .momentum = momentum(range.group),
                         .nesterov = options.nesterov,
                         .group = static_cast<int>(range.group)};
  const Tensor momentum_buffer = state(0, range);
  auto matrix = std::ranges::lower_bound(matrices_->all, range.first, {}, &Matrices::Matrix::first);
  for (; matrix != matrices_->all.end() && matrix->first < range.first + range.count; ++matrix) {
    const auto part = [&](const Tensor& whole) { return whole.view(matrix->first - range.first, matrix->shape); };
    Tensor buffer = part(momentum_buffer), values = part(range.values);
    Tensor direction = Tensor::empty(matrix->shape, DType::f32, values.device());
    kernels::muon_direction(part(range.grads), step, buffer, direction, stream);
    direction = matrices_->orthogonalizer(matrix->shape, values.device())(
        std::move(direction), {options.ns_coefficients, options.eps, options.ns_steps}, stream);
    step.lr_ratio = lr_ratio(options.adjust_lr_fn, matrix->shape);
    kernels::muon_update(direction, step, values, stream);
  }
}

void Muon::update_by_adamw(const Range& range, Stream& stream) {
  AdamOptions now = as_adam(options_[range.group - options_.size()].adamw);
  now.lr = lr(range.group);
  now.betas.first = momentum(range.group);
  Tensor values = range.values, exp_avg = state(1, range), exp_avg_sq = state(2, range), max_exp_avg_sq = state(3, range);
  kernels::adam(range.grads, adam_step(now, /*decoupled=*/true, range.step, range.group), values, exp_avg, exp_avg_sq,
                max_exp_avg_sq, stream);
}

}  // namespace gpucnn
