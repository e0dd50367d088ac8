#include <gpucnn/layers/fusion/stage.h>

#include <gpucnn/layers/module/module_tree.h>

namespace gpucnn {

void Stage::set_layers(std::span<Module* const> layers) {
  layers_.assign(layers.begin(), layers.end());
  parameters_.clear();
  for (Module* layer : layers_) {
    for_tree(
        *layer, [](const Module&) {}, [&](const Parameter& parameter) { parameters_.push_back(parameter); });
  }
}

std::int64_t Stage::count_weights() const {
  std::int64_t count = 0;
  for (const Parameter& parameter : parameters_) count += parameter.shape().numel();
  return count;
}

}  // namespace gpucnn
