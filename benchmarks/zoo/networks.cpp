#include "networks.h"

#include <variant>

#include <gpucnn/gpucnn.h>

namespace gpucnn {
namespace {

Conv2d conv(int in_channels, int out_channels, int kernel_size, int padding, int stride = 1) {
  return {in_channels, out_channels, {.kernel_size = kernel_size, .stride = stride, .padding = padding}};
}

Conv2d depthwise(int channels) { return {channels, channels, {.kernel_size = 3, .padding = 1, .groups = channels}}; }

/// LeNet-5 with ReLU and maximum pooling, as tutorials have it.
Sequential lenet5_with_relu() {
  return {conv(1, 6, 5, 2), ReLU(),           MaxPool2d(2), conv(6, 16, 5, 0), ReLU(), MaxPool2d(2),
          Flatten(),        Linear(400, 120), ReLU(),       Linear(120, 84),   ReLU(), Linear(84, 10)};
}

/// Caffe's lenet.prototxt: no activation behind its convolutions.
Sequential caffe_lenet() {
  return {conv(1, 20, 5, 0), MaxPool2d(2), conv(20, 50, 5, 0), MaxPool2d(2), Flatten(), Linear(800, 500), ReLU(), Linear(500, 10)};
}

/// As Caffe's cifar10_quick, with overlapping windows.
Sequential convnet_quick() {
  const auto pool = [] { return MaxPool2d({.kernel_size = 3, .stride = 2, .padding = 1}); };
  return {conv(3, 32, 5, 2), ReLU(),           pool(), conv(32, 32, 5, 2), ReLU(), pool(), conv(32, 64, 5, 2), ReLU(), pool(),
          Flatten(),         Linear(1024, 64), ReLU(), Linear(64, 10)};
}

/// Two convolutions a pooling.
Sequential vgg8() {
  return {conv(3, 32, 3, 1),
          ReLU(),
          conv(32, 32, 3, 1),
          ReLU(),
          MaxPool2d(2),
          conv(32, 64, 3, 1),
          ReLU(),
          conv(64, 64, 3, 1),
          ReLU(),
          MaxPool2d(2),
          conv(64, 128, 3, 1),
          ReLU(),
          conv(128, 128, 3, 1),
          ReLU(),
          MaxPool2d(2),
          Flatten(),
          Linear(2048, 256),
          ReLU(),
          Dropout(0.5),
          Linear(256, 10)};
}

/// Strides in place of pooling.
Sequential allconv() {
  return {conv(3, 32, 3, 1),     ReLU(), conv(32, 32, 3, 1, 2),  ReLU(), conv(32, 64, 3, 1), ReLU(),
          conv(64, 64, 3, 1, 2), ReLU(), conv(64, 128, 3, 1, 2), ReLU(), Flatten(),          Linear(2048, 10)};
}

/// Conv2d, ReLU and MaxPool2d on larger images.
Sequential pool64() {
  return {conv(3, 32, 3, 1),
          ReLU(),
          MaxPool2d(2),
          conv(32, 64, 3, 1),
          ReLU(),
          MaxPool2d(2),
          conv(64, 128, 3, 1),
          ReLU(),
          MaxPool2d(2),
          Flatten(),
          Linear(8192, 128),
          ReLU(),
          Dropout(0.5),
          Linear(128, 10)};
}

/// Depthwise and 1x1 convolutions in turn.
Sequential mobile() {
  return {conv(3, 32, 3, 1),    ReLU(), depthwise(32),       ReLU(),    conv(32, 64, 1, 0), ReLU(),         MaxPool2d(2),
          depthwise(64),        ReLU(), conv(64, 128, 1, 0), ReLU(),    MaxPool2d(2),       depthwise(128), ReLU(),
          conv(128, 128, 1, 0), ReLU(), MaxPool2d(2),        Flatten(), Linear(2048, 10)};
}

Sequential mlp() { return {Flatten(), Linear(784, 1024), ReLU(), Linear(1024, 1024), ReLU(), Linear(1024, 10)}; }

struct Maker {
  std::string_view name;
  int channels, size;
  Sequential (*make)();
};

constexpr Maker kMakers[] = {
    {"allconv", 3, 32, allconv},
    {"caffe_lenet", 1, 28, caffe_lenet},
    {"convnet_quick", 3, 32, convnet_quick},
    {"lenet5", 1, 28, lenet5_with_relu},
    {"mlp", 1, 28, mlp},
    {"mobile", 3, 32, mobile},
    {"pool64", 3, 64, pool64},
    {"vgg8", 3, 32, vgg8},
};

}  // namespace

Network make_network(std::string_view name) {
  for (const Maker& maker : kMakers) {
    if (maker.name == name) return {{maker.channels, maker.size, maker.size}, std::make_unique<Sequential>(maker.make())};
  }
  return {{3, 32, 32}, make_model(name, {3, 32, 32}, 10)};
}

Work work_of(const Sequential& model, const Shape& image, bool training) {
  const ModelGraph graph = graph_of(model, {1, image[0], image[1], image[2]});
  Work work{};
  bool first = true;
  for (const ModelGraph::Node& node : graph.nodes) {
    const Shape &x = graph.values[static_cast<std::size_t>(node.inputs[0])],
                &y = graph.values[static_cast<std::size_t>(node.output)];
    double products = 0;  // of the forward
    if (const auto* convolution = std::get_if<op::Conv2d>(&node.op)) {
      const Shape& weight = convolution->weight.shape();
      products = static_cast<double>(weight[1] * weight[2] * weight[3] * y.numel());
    } else if (const auto* linear = std::get_if<op::Linear>(&node.op)) {
      products = static_cast<double>(linear->weight.numel());
    } else if (!std::holds_alternative<op::MaxPool2d>(node.op) && !std::holds_alternative<op::AvgPool2d>(node.op)) {
      continue;
    }
    const auto in = static_cast<double>(x.numel()), out = static_cast<double>(y.numel());
    work.flop += 2 * products * (!training ? 1 : first ? 2 : 3);
    work.bytes += 4 * (in + out + (!training ? 0 : first ? in + out : in + out + in));
    first = false;
  }
  return work;
}

}  // namespace gpucnn
