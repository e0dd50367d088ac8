#include <gpucnn/layers/fusion/image_wise.h>

#include <algorithm>
#include <typeindex>

#include <gpucnn/layers/activation/activation_layer.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/dropout2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/identity.h>
#include <gpucnn/layers/module/module_tree.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/norm/group_norm.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/avg_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/layers/pool/upsample.h>

namespace gpucnn {
namespace {

bool is_known(const Module& layer) {
  static const std::type_index known[] = {
      typeid(AdaptiveAvgPool2d), typeid(AdaptiveMaxPool2d), typeid(AvgPool2d), typeid(Conv2d),
      typeid(Dropout),           typeid(Dropout2d),         typeid(Flatten),   typeid(GroupNorm),
      typeid(Identity),          typeid(MaxPool2d),         typeid(Upsample)};
  if (dynamic_cast<const ActivationLayer*>(&layer)) return true;
  const std::type_index type = typeid(layer);
  if (type == typeid(BatchNorm2d)) return static_cast<const BatchNorm2d&>(layer).options().track_running_stats;
  return std::ranges::find(known, type) != std::end(known);
}

}  // namespace

bool is_image_wise(Module& layer, IsContainer is_container) {
  bool all = true;
  for_tree(
      layer, [&](const Module& module) { all = all && (is_known(module) || is_container(module)); }, [](const Parameter&) {});
  return all;
}

}  // namespace gpucnn
