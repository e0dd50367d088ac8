#include <gpucnn/models/resnet.h>

#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>
#include <gpucnn/models/fan_out_conv.h>
#include <gpucnn/models/residual_blocks.h>

namespace gpucnn {
namespace {

using Blocks = Sequential (*)(const StageOptions& options);

/// How many blocks the stages conv2_x to conv5_x have.
struct Counts {
  int conv2, conv3, conv4, conv5;
};

/// What all columns of the paper's table 1 share; the sizes are those of images of 224x224. `expansion`: channels that a block
/// makes for one of its 3x3 convolution.
Sequential resnet(Blocks blocks, int expansion, const Counts& count, const ResNetOptions& o) {
  const int e = expansion;
  const bool zero = o.zero_init_residual;
  Sequential net;
  if (o.small_stem) {
    net.push_back({"conv1", fan_out_conv(o.in_channels, 64, {.kernel_size = 3, .padding = 1, .bias = false})});
  } else {
    net.push_back({"conv1", fan_out_conv(o.in_channels, 64, {.kernel_size = 7, .stride = 2, .padding = 3, .bias = false})});  // 112
  }
  net.push_back({"bn1", BatchNorm2d(64)});
  net.push_back({"relu", ReLU()});
  if (!o.small_stem) net.push_back({"maxpool", MaxPool2d(3, 2, 1)});                   // [N, 64, 56, 56]
  net.push_back({"layer1", blocks({64, 64, count.conv2, /*stride=*/1, zero})});        // [N, 64 e, 56, 56]
  net.push_back({"layer2", blocks({64 * e, 128, count.conv3, /*stride=*/2, zero})});   // [N, 128 e, 28, 28]
  net.push_back({"layer3", blocks({128 * e, 256, count.conv4, /*stride=*/2, zero})});  // [N, 256 e, 14, 14]
  net.push_back({"layer4", blocks({256 * e, 512, count.conv5, /*stride=*/2, zero})});  // [N, 512 e, 7, 7]
  net.push_back({"avgpool", AdaptiveAvgPool2d(1)});                                    // [N, 512 e, 1, 1]
  net.push_back({"flatten", Flatten()});                                               // [N, 512 e]
  net.push_back({"fc", Linear(512 * e, o.num_classes)});                               // [N, num_classes]
  return net;
}

}  // namespace

Sequential resnet18(const ResNetOptions& options) { return resnet(basic_blocks, 1, {2, 2, 2, 2}, options); }

Sequential resnet34(const ResNetOptions& options) { return resnet(basic_blocks, 1, {3, 4, 6, 3}, options); }

Sequential resnet50(const ResNetOptions& options) { return resnet(bottlenecks, 4, {3, 4, 6, 3}, options); }

Sequential resnet20(const ResNet20Options& o) {
  return Sequential{{"conv1", fan_out_conv(o.in_channels, 16, {.kernel_size = 3, .padding = 1, .bias = false})},
                    {"bn1", BatchNorm2d(16)},
                    {"relu", ReLU()},                                     // [N, 16, 32, 32]
                    {"layer1", basic_blocks({16, 16, 3})},                // [N, 16, 32, 32]
                    {"layer2", basic_blocks({16, 32, 3, /*stride=*/2})},  // [N, 32, 16, 16]
                    {"layer3", basic_blocks({32, 64, 3, /*stride=*/2})},  // [N, 64, 8, 8]
                    {"avgpool", AdaptiveAvgPool2d(1)},
                    {"flatten", Flatten()},
                    {"fc", Linear(64, o.num_classes)}};
}

}  // namespace gpucnn
