#include <gpucnn/models/vgg.h>

#include <array>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/dropout.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/models/fan_out_conv.h>

namespace gpucnn {
namespace {

constexpr int kPool = 0;
/// The channels of the convolutions, as the paper's table has them from top to bottom.
constexpr std::array kConfigurationA{64, kPool, 128, kPool, 256, 256, kPool, 512, 512, kPool, 512, 512, kPool};

template <class Configuration>
Sequential features(const Configuration& configuration, int in_channels) {
  Sequential layers;
  int channels = in_channels;
  for (const int next : configuration) {
    if (next == kPool) {
      layers.push_back(MaxPool2d(2, 2));
      continue;
    }
    layers.push_back(fan_out_conv(channels, next, {.kernel_size = 3, .padding = 1}));
    layers.push_back(BatchNorm2d(next));
    layers.push_back(ReLU());
    channels = next;
  }
  return layers;
}

Linear narrow_linear(int in_features, int out_features) {
  Linear linear(in_features, out_features);
  linear.weight().set_init(Init::normal(0.01F));
  linear.bias().set_init(Init::constant(0));
  return linear;
}

}  // namespace

Sequential vgg11_bn(const VGGOptions& o) {
  return Sequential{{"features", features(kConfigurationA, o.in_channels)},           // [N, 512, H / 32, W / 32]
                    {"avgpool", AdaptiveAvgPool2d(7)},                                // [N, 512, 7, 7]
                    {"flatten", Flatten()},                                           // [N, 25088]
                    {"classifier", Sequential{narrow_linear(512 * 7 * 7, 4096),       // [N, 4096]
                                              ReLU(),                                 //
                                              Dropout(o.dropout),                     //
                                              narrow_linear(4096, 4096),              // [N, 4096]
                                              ReLU(),                                 //
                                              Dropout(o.dropout),                     //
                                              narrow_linear(4096, o.num_classes)}}};  // [N, num_classes]
}

}  // namespace gpucnn
