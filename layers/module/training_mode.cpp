#include <gpucnn/layers/module/training_mode.h>

#include <gpucnn/layers/module/module_tree.h>

namespace gpucnn {

TrainingMode::TrainingMode(Module& model) {
  for_tree(
      model, [this](Module& module) { before_.emplace_back(&module, module.training_); }, [](Parameter&) {});
  model.train();
}

TrainingMode::~TrainingMode() {
  for (const auto& [module, training] : before_) module->training_ = training;
}

}  // namespace gpucnn
