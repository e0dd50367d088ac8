#include <gpucnn/train/parameter_update.h>

#include <stdexcept>

#include <gpucnn/kernels/common/check.h>
#include <gpucnn/optim/clip_grad.h>

namespace gpucnn {
namespace {

void check_limit(const char* name, const std::optional<double>& limit) {
  if (limit) kernels::check_value("StepOptions", name, *limit, *limit > 0, "> 0");
}

}  // namespace

ParameterUpdate::ParameterUpdate(const Module& model, Optimizer& optimizer, const StepOptions& options)
    : optimizer_(optimizer), options_(options) {
  check_limit("clip_grad_value", options.clip_grad_value);
  check_limit("clip_grad_norm", options.clip_grad_norm);
  if (options.ema && &options.ema->model() != &model) throw std::invalid_argument("StepOptions: ema must be of the model given");
  if (options.clip_grad_value || options.clip_grad_norm) clipped_ = optimizer.parameters();
}

void ParameterUpdate::prepare() {
  if (options_.ema) options_.ema->prepare();
}

void ParameterUpdate::operator()() {
  if (options_.clip_grad_value) clip_grad_value(clipped_, *options_.clip_grad_value);
  if (options_.clip_grad_norm) clip_grad_norm(clipped_, *options_.clip_grad_norm);
  optimizer_.step();
  if (options_.ema) options_.ema->update();
}

}  // namespace gpucnn
