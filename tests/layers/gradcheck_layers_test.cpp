// The gradients of layers and of their options against central differences, on both devices.
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include <gpucnn/layers/activation/leaky_relu.h>
#include <gpucnn/layers/activation/relu6.h>
#include <gpucnn/layers/containers/concat.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/containers/sequential.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/gradcheck.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/norm/group_norm.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/avg_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>

#include "layers/layers.h"

namespace gpucnn {
namespace {

using Made = std::unique_ptr<Module>;

template <class M>
Made owned(M module) {
  return std::make_unique<M>(std::move(module));
}

struct Case {
  const char* name;
  Made (*make)();
  Shape x;
};

const Case kCases[] = {
    {"batch_norm2d", [] { return owned(BatchNorm2d(3)); }, {4, 3, 3, 2}},
    {"batch_norm2d_plain", [] { return owned(BatchNorm2d(3, {.affine = false, .track_running_stats = false})); }, {3, 3, 2, 2}},
    {"group_norm", [] { return owned(GroupNorm(2, 6)); }, {2, 6, 3, 3}},
    {"group_norm_of_each_channel", [] { return owned(GroupNorm(3, 3, {.affine = false})); }, {2, 3, 3, 3}},
    {"max_pool2d",
     [] { return owned(MaxPool2d({.kernel_size = 2, .stride = 2, .padding = 1, .dilation = 2, .ceil_mode = true})); },
     {2, 2, 6, 7}},
    {"avg_pool2d",
     [] { return owned(AvgPool2d({.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true, .count_include_pad = false})); },
     {2, 2, 6, 7}},
    {"avg_pool2d_divided",
     [] {
       return owned(AvgPool2d({.kernel_size = {2, 3}, .divisor_override = -3}));
     },
     {2, 2, 5, 6}},
    {"adaptive_avg_pool2d",
     [] {
       return owned(AdaptiveAvgPool2d({3, 4}));
     },
     {2, 2, 5, 3}},
    {"adaptive_max_pool2d",
     [] {
       return owned(AdaptiveMaxPool2d({2, 3}));
     },
     {2, 2, 5, 4}},
    {"relu6", [] { return owned(ReLU6()); }, {2, 30}},
    {"leaky_relu", [] { return owned(LeakyReLU(-0.5)); }, {2, 30}},
    {"conv2d_of_groups",
     [] { return owned(Conv2d(4, 6, {.kernel_size = 3, .stride = 2, .dilation = 2, .groups = 2})); },
     {2, 4, 8, 9}},
    {"residual_and_concat",
     [] {
       return owned(Sequential{Residual(Conv2d(2, 2, {.kernel_size = 3, .padding = 1}), Conv2d(2, 2, {.kernel_size = 1})),
                               Concat{GroupNorm(1, 2), Conv2d(2, 1, {.kernel_size = 1})}});
     },
     {2, 2, 4, 4}},
};

class GradcheckLayers : public LayerTest {};
INSTANTIATE_TEST_SUITE_P(Devices, GradcheckLayers, devices(), device_name);

/// In training, and with what training has gathered in eval mode.
TEST_P(GradcheckLayers, AreTheDifferenceQuotients) {
  for (const Case& c : kCases) {
    const Made layer = c.make();
    layer->init(4).to(device()).set_input_grad(true);
    unsigned seed = 5;
    for (Parameter& parameter : layer->parameters()) parameter.set_value(random_tensor(parameter.shape(), ++seed));
    for (const bool training : {true, false}) {
      SCOPED_TRACE(std::string(c.name) + (training ? " in training" : " in eval mode"));
      (*layer)(random_tensor(c.x, 1));
      layer->train(training);
      GradcheckResult result;
      ASSERT_NO_THROW(result = gradcheck(*layer, c.x));
      EXPECT_GE(result.compared, 9 * (result.compared + result.skipped) / 10);
      EXPECT_GE(result.compared, 18);
    }
  }
}

}  // namespace
}  // namespace gpucnn
