#include <gpucnn/train/captured/captured_step.h>

#include <algorithm>
#include <utility>

#include <gpucnn/layers/module/module_tree.h>

namespace gpucnn {

void CapturedStep::keep(std::unique_ptr<gpu::Graph> graph, Module& model, const Optimizer& optimizer, std::int64_t steps_before,
                        bool counts_forward) {
  parameters_ = model.parameter_memory();
  precision_ = model.precision();
  steps_before_ = steps_before;
  counts_forward_ = counts_forward;
  learned_.clear();
  frozen_.clear();
  for (const Parameter& parameter : optimizer.parameters()) {
    if (parameter.has_grad()) learned_.push_back(parameter);
    if (!parameter.requires_grad()) frozen_.push_back(parameter);
  }
  modes_.clear();
  for_tree(
      model, [&](const Module& module) { modes_.push_back(module.training()); }, [](const Parameter&) {});
  graph_ = std::move(graph);
}

void CapturedStep::drop() {
  graph_.reset();
  memory_.reset();
}

bool CapturedStep::holds(Module& model) const {
  const auto requires_grad = [](const Parameter& parameter) { return parameter.requires_grad(); };
  if (!std::ranges::all_of(learned_, requires_grad) || std::ranges::any_of(frozen_, requires_grad)) return false;
  std::size_t modules = 0;
  bool same_modes = true;
  for_tree(
      model,
      [&](const Module& module) {
        same_modes = same_modes && modules < modes_.size() && modes_[modules] == module.training();
        ++modules;
      },
      [](const Parameter&) {});
  if (!same_modes) return false;
  const Module::ParameterMemory now = model.parameter_memory();
  return precision_ == model.precision() && parameters_.values.bytes() == now.values.bytes() &&
         parameters_.bf16_copies.bytes() == now.bf16_copies.bytes();
}

void CapturedStep::count(Module& model, Optimizer& optimizer) const {
  optimizer.zero_grad();
  for (Parameter parameter : learned_) parameter.grad_target();
  optimizer.count_steps(1);
  if (counts_forward_) model.set_random_step(model.random_step() + 1);
}

}  // namespace gpucnn
