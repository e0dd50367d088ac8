#include <gpucnn/train/parameter_update.h>

#include <set>
#include <stdexcept>
#include <string>
#include <typeinfo>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/optim/adam.h>
#include <gpucnn/optim/adamw.h>
#include <gpucnn/optim/clip_grad.h>

namespace gpucnn {
namespace {

void check_limit(const char* name, const std::optional<double>& limit) {
  if (limit) kernels::check_value("StepOptions", name, *limit, *limit > 0, "> 0");
}

}  // namespace

ParameterUpdate::ParameterUpdate(Module& model, Optimizer& optimizer, const StepOptions& options)
    : model_(model), optimizer_(optimizer), options_(options) {
  check_limit("clip_grad_value", options.clip_grad_value);
  check_limit("clip_grad_norm", options.clip_grad_norm);
  if (options.ema && &options.ema->model() != &model) throw std::invalid_argument("StepOptions: ema must be of the model given");
  if (options.clip_grad_value || options.clip_grad_norm) clipped_ = optimizer.parameters();
  find_parameters();
}

/// A parameter that its optimizer does not have would not learn, without a word.
void ParameterUpdate::find_parameters() {
  const Tensor memory = model_.parameter_memory().values;
  const void* const now = memory.defined() ? memory.bytes() : nullptr;
  if (now == memory_) return;  // of a replaced layer the optimizer would still hold the old memory
  const std::vector<Parameter> own = model_.parameters(), held = optimizer_.parameters();
  const std::set<Parameter> in_model(own.begin(), own.end()), in_optimizer(held.begin(), held.end());
  std::set<std::string> foreign;
  for (const Parameter& parameter : held) {
    if (!in_model.contains(parameter)) foreign.insert(parameter.name());
  }
  for (const Parameter& parameter : own) {
    if (!parameter.requires_grad() || in_optimizer.contains(parameter) || !foreign.contains(parameter.name())) continue;
    throw std::invalid_argument(
        formatted("Optimizer: has another {} than the model, as of a layer that was replaced since; make it of the parameters that "
                  "the model has now",
                  printable(parameter.name(), kMaxNameBytes)));
  }
  memory_ = now;
}

void ParameterUpdate::prepare() {
  find_parameters();
  if (options_.ema) options_.ema->prepare();
}

bool ParameterUpdate::is_adam_alone() const {
  // A class derived from one of them may read gradients that are not added yet.
  const bool is_adam = typeid(optimizer_) == typeid(Adam) || typeid(optimizer_) == typeid(AdamW);
  return is_adam && clipped_.empty() && !options_.ema;
}

void ParameterUpdate::operator()() {
  if (options_.clip_grad_value) clip_grad_value(clipped_, *options_.clip_grad_value);
  if (options_.clip_grad_norm) clip_grad_norm(clipped_, *options_.clip_grad_norm);
  optimizer_.step();
  if (options_.ema) options_.ema->update();
}

}  // namespace gpucnn
