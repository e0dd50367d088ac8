#include <gpucnn/models/resnet9.h>

#include <stdexcept>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/layers/activation/mul.h>
#include <gpucnn/layers/activation/relu.h>
#include <gpucnn/layers/containers/residual.h>
#include <gpucnn/layers/conv2d.h>
#include <gpucnn/layers/flatten.h>
#include <gpucnn/layers/linear.h>
#include <gpucnn/layers/norm/batch_norm2d.h>
#include <gpucnn/layers/pool/adaptive_pool2d.h>
#include <gpucnn/layers/pool/max_pool2d.h>

namespace gpucnn {
namespace {

constexpr int kMaxWidth = 1 << 20;

/// [N, in, H, W] -> [N, out, H, W].
Sequential conv_bn(int in, int out) {
  return Sequential{{"conv", Conv2d(in, out, {.kernel_size = 3, .padding = 1, .bias = false})},  //
                    {"bn", BatchNorm2d(out)},                                                    //
                    {"relu", ReLU()}};
}

/// The same, and half of H and W.
Sequential conv_bn_pool(int in, int out) {
  Sequential layers = conv_bn(in, out);
  layers.push_back({"pool", MaxPool2d(2)});
  return layers;
}

/// The same again, and a residual of two of the first kind.
Sequential conv_bn_pool_residual(int in, int out) {
  Sequential layers = conv_bn_pool(in, out);
  layers.push_back({"residual", Residual(Sequential{{"res1", conv_bn(out, out)}, {"res2", conv_bn(out, out)}})});
  return layers;
}

}  // namespace

Sequential resnet9(const ResNet9Options& o) {
  const int w = o.width;
  if (w < 1 || w > kMaxWidth) throw std::invalid_argument(formatted("resnet9: width must be 1 to {}, got {}", kMaxWidth, w));
  return Sequential{{"prep", conv_bn(o.in_channels, w)},                        // [N, w, 32, 32]
                    {"layer1", conv_bn_pool_residual(w, 2 * w)},                // [N, 2 w, 16, 16]
                    {"layer2", conv_bn_pool(2 * w, 4 * w)},                     // [N, 4 w, 8, 8]
                    {"layer3", conv_bn_pool_residual(4 * w, 8 * w)},            // [N, 8 w, 4, 4]
                    {"pool", AdaptiveMaxPool2d(1)},                             // [N, 8 w, 1, 1]
                    {"flatten", Flatten()},                                     //
                    {"linear", Linear(8 * w, o.num_classes, {.bias = false})},  // [N, num_classes]
                    {"classifier", Mul(0.125)}};
}

}  // namespace gpucnn
