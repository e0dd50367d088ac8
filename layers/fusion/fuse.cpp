#include <gpucnn/layers/fusion/fuse.h>

#include <algorithm>
#include <iterator>

#include <gpucnn/layers/fusion/pattern.h>

namespace gpucnn {
namespace {

/// The first that matches is taken, so a pattern stands before those that would take its first layers.
constexpr const Pattern* kPatterns[] = {&kSeparableConv,      &kConvReluPool,  &kLinearHead, &kLinearReluDropout, &kReluPool,
                                        &kActivationEpilogue, &kConvBatchNorm, &kBatchNorm,  &kSingleLayer};

/// Those that stand behind one.
std::span<const Pattern* const> patterns_behind(const Pattern& pattern) {
  return {std::ranges::find(kPatterns, &pattern) + 1, std::end(kPatterns)};
}

/// An activation's backward is done where its dy is made, in the same memory: behind the stage, that would be a pass from one
/// tensor to another. Nor is what lies between two stages rounded to bf16 in other memory.
void hand_on_activations(std::span<const std::unique_ptr<Stage>> stages) {
  for (std::size_t i = 1; i < stages.size(); ++i) {
    const Activation activation = stages[i - 1]->last_activation();
    if (activation.kind != Activation::none && stages[i]->take_activation(activation)) stages[i - 1]->leave_last_activation();
    if (stages[i - 1]->gives_y_away()) stages[i]->own_x();
  }
}

std::vector<std::unique_ptr<Stage>> fuse_by(std::span<const Pattern* const> patterns, std::span<Module* const> layers) {
  std::vector<std::unique_ptr<Stage>> stages;
  while (!layers.empty()) {
    for (const Pattern* pattern : patterns) {
      const std::size_t count = pattern->match(layers);
      if (count == 0) continue;
      stages.push_back(pattern->make(layers.first(count)));
      stages.back()->set_layers(layers.first(count));
      layers = layers.subspan(count);
      break;
    }
  }
  hand_on_activations(stages);
  return stages;
}

}  // namespace

std::vector<std::unique_ptr<Stage>> fuse(std::span<Module* const> layers) { return fuse_by(kPatterns, layers); }

std::vector<std::unique_ptr<Stage>> fuse_without_separable_conv(std::span<Module* const> layers) {
  return fuse_by(patterns_behind(kSeparableConv), layers);
}

std::vector<std::unique_ptr<Stage>> fuse_without_heads(std::span<Module* const> layers) {
  return fuse_by(patterns_behind(kLinearHead), layers);
}

std::vector<std::unique_ptr<Stage>> fuse_without_conv_relu_pool(std::span<Module* const> layers) {
  return fuse_by(patterns_behind(kConvReluPool), layers);
}

}  // namespace gpucnn
