#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gpucnn/layers/activation/gelu.h>
#include <gpucnn/layers/activation/hardswish.h>
#include <gpucnn/layers/activation/leaky_relu.h>
#include <gpucnn/layers/activation/mul.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/activation/relu6.h>
#include <gpucnn/layers/activation/sigmoid.h>
#include <gpucnn/layers/activation/silu.h>
#include <gpucnn/layers/activation/softmax.h>
#include <gpucnn/layers/activation/tanh.h>
#include <gpucnn/layers/containers/concat.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/residual_block.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/dropout2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/identity.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/norm/group_norm.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/avg_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/layers/pool/upsample.h>

#include "reference/values.h"

namespace gpucnn {

inline const Shape kExportedX{2, 4, 7, 9};

/// Every layer that there is with options of every kind, for x of kExportedX.
inline std::map<std::string, std::unique_ptr<Module>> exported_layers() {
  const auto owned = []<class M>(M module) { return std::make_unique<M>(std::move(module)); };
  std::map<std::string, std::unique_ptr<Module>> all;
  all["Conv2d"] =
      owned(Conv2d(4, 6, {.kernel_size = {3, 2}, .stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}, .groups = 2}));
  all["Conv2d, same"] = owned(Conv2d(4, 3, {.kernel_size = 4, .padding = Padding2d::same, .bias = false}));
  all["Linear"] = owned(Sequential{Flatten(), Linear(4 * 7 * 9, 5)});
  all["Linear without bias"] = owned(Sequential{Flatten(), Linear(4 * 7 * 9, 5, {.bias = false})});
  all["BatchNorm2d"] = owned(BatchNorm2d(4, {.eps = 0.01}));
  all["BatchNorm2d without affine"] = owned(BatchNorm2d(4, {.affine = false}));
  all["BatchNorm2d of the batch"] = owned(BatchNorm2d(4, {.track_running_stats = false}));
  all["GroupNorm"] = owned(GroupNorm(2, 4));
  all["GroupNorm without affine"] = owned(GroupNorm(4, 4, {.affine = false}));
  all["GELU"] = owned(GELU());
  all["GELU, tanh"] = owned(GELU("tanh"));
  all["Hardswish"] = owned(Hardswish());
  all["LeakyReLU"] = owned(LeakyReLU(0.3));
  all["Mul"] = owned(Mul(-1.5));
  all["ReLU"] = owned(ReLU());
  all["ReLU6"] = owned(Sequential{Mul(10), ReLU6()});
  all["Sigmoid"] = owned(Sigmoid());
  all["SiLU"] = owned(SiLU());
  all["Softmax"] = owned(Softmax());
  all["Tanh"] = owned(Tanh());
  all["MaxPool2d"] = owned(MaxPool2d(MaxPool2dOptions{{2, 3}, Size2{3, 2}, {1, 0}, {2, 1}, true}));
  all["AvgPool2d"] = owned(AvgPool2d(AvgPool2dOptions{{3, 2}, std::nullopt, {1, 1}, true, false}));
  all["AvgPool2d with a divisor"] = owned(AvgPool2d(AvgPool2dOptions{2, Size2{1}, 0, false, true, 3}));
  all["AdaptiveAvgPool2d"] = owned(AdaptiveAvgPool2d({3, 4}));
  all["AdaptiveMaxPool2d"] = owned(AdaptiveMaxPool2d({5, 1}));
  all["Upsample"] = owned(Upsample({2, 3}));
  all["Flatten"] = owned(Flatten());
  all["Residual"] = owned(Residual(Conv2d(4, 4, {.kernel_size = 1})));
  all["Residual with a shortcut"] = owned(Residual(Conv2d(4, 3, {.kernel_size = 1}), Conv2d(4, 3, {.kernel_size = 1})));
  all["ResidualBlock"] = owned(ResidualBlock({{"conv", Conv2d(4, 4, {.kernel_size = 1})}}, {"downsample", Sequential{Mul(2)}}));
  all["ResidualBlock of nothing"] = owned(ResidualBlock({Identity()}));
  all["Concat"] = owned(Concat{Mul(2), Conv2d(4, 3, {.kernel_size = 1}), Identity()});
  all["Concat of one"] = owned(Concat{Mul(2)});
  return all;
}

/// Parameters and buffers as training might leave them: variances are positive.
inline void draw_values(Module& model) {
  unsigned seed = 0;
  model.init(7);
  for (const auto& [name, tensor] : model.state_dict()) {
    if (tensor.dtype() != DType::f32 || tensor.rank() != 1) continue;
    std::vector<float> values = reference::random_floats(tensor.numel(), ++seed);
    if (name.ends_with("running_var")) std::ranges::transform(values, values.begin(), [](float value) { return value + 1.5F; });
    Tensor(tensor).copy_from(Tensor::from(values, tensor.shape()));
  }
}

}  // namespace gpucnn
