#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <typeinfo>

#include <gpucnn/layers/activation/activation_layer.h>
#include <gpucnn/layers/fusion/stage.h>

namespace gpucnn {

/// Layers side by side that a stage computes together. Each pattern has a file of its own, and its place in the list of fuse.cpp.
struct Pattern {
  /// How many layers it takes, from the first one on; 0: it does not hold here.
  std::size_t (*match)(std::span<Module* const> layers);
  /// The stage of the layers that it takes.
  std::unique_ptr<Stage> (*make)(std::span<Module* const> layers);
};

extern const Pattern kSeparableConv;       // Conv2d of each channel, Conv2d of single pixels, ReLUs and a MaxPool2d
extern const Pattern kConvReluPool;        // Conv2d, ReLU and MaxPool2d, once or several times over, and a Flatten
extern const Pattern kLinearHead;          // Linear, ReLU, perhaps Dropout, and Linear, at the end
extern const Pattern kLinearReluDropout;   // Linear, ReLU, Dropout
extern const Pattern kReluPool;            // ReLU, MaxPool2d
extern const Pattern kActivationEpilogue;  // Conv2d or Linear, and an activation, or before a ReLU and MaxPool2d
extern const Pattern kConvBatchNorm;       // Conv2d, BatchNorm2d, and perhaps ReLU
extern const Pattern kBatchNorm;           // BatchNorm2d, and perhaps ReLU
extern const Pattern kSingleLayer;         // any layer

/// Layer `i` if there is one of this class. Classes derived from it may compute something else, so only the class itself is joined.
template <class Layer>
Layer* layer_at(std::span<Module* const> layers, std::size_t i) {
  if (i >= layers.size()) return nullptr;
  Module& layer = *layers[i];
  return typeid(layer) == typeid(Layer) ? static_cast<Layer*>(&layer) : nullptr;
}

/// Layer `i` if it is an activation: what classes derived from it compute is fixed.
inline ActivationLayer* activation_at(std::span<Module* const> layers, std::size_t i) {
  return i < layers.size() ? dynamic_cast<ActivationLayer*>(layers[i]) : nullptr;
}

inline bool is_relu(std::span<Module* const> layers, std::size_t i) {
  const ActivationLayer* activation = activation_at(layers, i);
  return activation && activation->function().kind == Activation::relu;
}

}  // namespace gpucnn
