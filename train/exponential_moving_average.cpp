#include <gpucnn/train/exponential_moving_average.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include <gpucnn/core/error.h>
#include <gpucnn/core/state_entry.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/optim/moving_average.h>

namespace gpucnn {
namespace {

std::int64_t padded_size(const std::vector<Parameter>& parameters) {
  std::int64_t size = 0;
  for (const Parameter& parameter : parameters) size += Arena::padded(parameter.numel());
  return size;
}

/// Pairs of a model's weights with their places in `averages`.
std::vector<std::pair<Tensor, Tensor>> paired(const std::vector<Parameter>& parameters, const Tensor& averages) {
  std::vector<std::pair<Tensor, Tensor>> pairs;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < parameters.size();) {
    const Parameter::Slot slot = parameters[i].slot();
    std::int64_t count = 0;
    const auto continues = [&](const Parameter& parameter) {
      const Parameter::Slot next = parameter.slot();
      return next.values.bytes() == slot.values.bytes() && next.first == slot.first + count;
    };
    for (; i < parameters.size() && continues(parameters[i]); ++i) count += Arena::padded(parameters[i].numel());
    pairs.emplace_back(slot.values.view(slot.first, {count}), averages.view(first, {count}));
    first += count;
  }
  return pairs;
}

}  // namespace

ExponentialMovingAverage::ExponentialMovingAverage(Module& model, ExponentialMovingAverageOptions options)
    : model_(&model), decay_(options.decay) {
  kernels::check_value("ExponentialMovingAverage", "decay", decay_, decay_ >= 0 && decay_ <= 1, "in [0, 1]");
  const std::vector<Parameter> parameters = model.parameters();
  if (parameters.empty()) throw std::invalid_argument("ExponentialMovingAverage: the model has no parameters");
  const Device device = model.device();
  weights_ = Tensor::zeros({padded_size(parameters)}, DType::f32, device);
  for (const Tensor& buffer : model.buffers()) {
    if (buffer.dtype() == DType::bf16) throw std::invalid_argument("ExponentialMovingAverage: a buffer of the model is bf16");
    buffers_.push_back(buffer.clone());
  }
  n_averaged_ = Tensor::zeros({}, DType::i64, device);
  find_model();
  for (auto& [own, average] : tensors_) average.copy_from(own);
}

ExponentialMovingAverage::~ExponentialMovingAverage() = default;

/// Where the model's tensors are now; the averages go there.
void ExponentialMovingAverage::find_model() {
  const Tensor memory = model_->parameter_memory().values;
  const Device device = model_->device();
  if (memory_.defined() && memory.bytes() == std::as_const(memory_).bytes() && device == weights_.device()) return;
  const std::vector<Parameter> parameters = model_->parameters();
  const std::vector<Tensor> buffers = model_->buffers();
  const auto same_kind = [](const Tensor& a, const Tensor& b) { return a.shape() == b.shape() && a.dtype() == b.dtype(); };
  if (padded_size(parameters) != weights_.numel() || !std::ranges::equal(buffers, buffers_, same_kind)) {
    throw std::logic_error("ExponentialMovingAverage: the model has other parameters or buffers than when its average was made");
  }
  Tensor weights = weights_.to(device), n_averaged = n_averaged_.to(device);
  std::vector<Tensor> averages;
  for (const Tensor& buffer : buffers_) averages.push_back(buffer.to(device));
  auto tensors = paired(parameters, weights);
  for (std::size_t i = 0; i < buffers.size(); ++i) tensors.emplace_back(buffers[i], averages[i]);
  weights_ = std::move(weights);
  n_averaged_ = std::move(n_averaged);
  buffers_ = std::move(averages);
  tensors_ = std::move(tensors);
  memory_ = memory;
}

void ExponentialMovingAverage::prepare() {
  if (applied_) throw std::logic_error("ExponentialMovingAverage: the model has the averages; end the Applied before it learns");
  find_model();
}

void ExponentialMovingAverage::update() {
  prepare();
  Stream stream(weights_.device());
  for (auto& [own, average] : tensors_) kernels::moving_average(own, decay_, n_averaged_, average, stream);
  kernels::count_average(n_averaged_, stream);
}

std::int64_t ExponentialMovingAverage::n_averaged() const { return n_averaged_.to_vector<std::int64_t>().front(); }

ExponentialMovingAverage::Applied::Applied(ExponentialMovingAverage& average) : average_(average) {
  average.prepare();
  for (const auto& [own, mean] : average.tensors_) own_.push_back(own.clone());
  for (auto& [own, mean] : average.tensors_) own.copy_from(mean);
  average.applied_ = true;
}

ExponentialMovingAverage::Applied::~Applied() {
  average_.applied_ = false;
  try {
    average_.find_model();
    for (std::size_t i = 0; i < own_.size(); ++i) average_.tensors_[i].first.copy_from(own_[i]);
  } catch (const std::exception&) {  // the device is gone, or the model that had these weights
  }
}

// ---- state -----------------------------------------------------------------------------------------------------------

/// Under the model's names, sharing memory.
StateDict ExponentialMovingAverage::averages() {
  find_model();
  StateDict all;
  for (const auto& [name, tensor] : model_->state_dict()) {
    for (const auto& [own, average] : tensors_) {
      const bool is_inside = tensor.bytes() >= own.bytes() && tensor.bytes() + tensor.nbytes() <= own.bytes() + own.nbytes();
      if (tensor.dtype() != own.dtype() || !is_inside) continue;
      const std::ptrdiff_t elements = (tensor.bytes() - own.bytes()) / static_cast<std::ptrdiff_t>(size_of(own.dtype()));
      all.add(name, average.view(elements, tensor.shape()));
      break;
    }
  }
  return all;
}

void ExponentialMovingAverage::copy_to(Module& model) { model.load_state_dict(averages()); }

StateDict ExponentialMovingAverage::state_dict() {
  const StateDict all = averages();  // first, for it may move them
  StateDict copies;
  copies.add("n_averaged", n_averaged_.clone());
  for (const auto& [name, tensor] : all) copies.add(formatted("module.{}", name), tensor.clone());
  return copies;
}

void ExponentialMovingAverage::load_state_dict(const StateDict& state) {
  const StateDict all = averages();  // first, for it may move them
  StateDict own;
  own.add("n_averaged", n_averaged_);
  for (const auto& [name, tensor] : all) own.add(formatted("module.{}", name), tensor);
  require_same_entries("ExponentialMovingAverage::load_state_dict", own, state);
  if (state.at("n_averaged").to_vector<std::int64_t>().front() < 0) {
    throw std::invalid_argument("ExponentialMovingAverage::load_state_dict: n_averaged is negative");
  }
  for (const auto& [name, tensor] : own) Tensor(tensor).copy_from(state.at(name));
}

}  // namespace gpucnn
