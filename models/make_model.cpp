#include <gpucnn/models/make_model.h>

#include <algorithm>
#include <array>
#include <stdexcept>
#include <utility>

#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/text/name_list.h>
#include <gpucnn/core/text/printable.h>
#include <gpucnn/models/image_shape.h>
#include <gpucnn/models/lenet5.h>
#include <gpucnn/models/resnet.h>
#include <gpucnn/models/resnet9.h>
#include <gpucnn/models/simple_cnn.h>
#include <gpucnn/models/vgg.h>

namespace gpucnn {
namespace {

constexpr int kSmallSide = 64;

struct Wanted {
  Shape image;
  ImageShape size;
  int num_classes;
  std::optional<int> width;
};

using Made = std::unique_ptr<Sequential>;

template <class Network>
Made owned(Network network) {
  return std::make_unique<Network>(std::move(network));
}

ResNetOptions resnet_options(const Wanted& w) {
  return {.num_classes = w.num_classes,
          .in_channels = w.size.channels,
          .small_stem = std::min(w.size.height, w.size.width) <= kSmallSide};
}

/// A model and the smallest side of an image that it makes something of.
struct Maker {
  std::string_view name;
  int smallest;
  Made (*make)(const Wanted& wanted);
  bool has_width = false;
};

constexpr std::array kMakers{
    Maker{"lenet5", 12,
          [](const Wanted& w) {
            return owned(lenet5({w.num_classes, w.image}));
          }},
    Maker{"resnet18", 1, [](const Wanted& w) { return owned(resnet18(resnet_options(w))); }},
    Maker{"resnet20", 1,
          [](const Wanted& w) {
            return owned(resnet20({w.num_classes, w.size.channels}));
          }},
    Maker{"resnet34", 1, [](const Wanted& w) { return owned(resnet34(resnet_options(w))); }},
    Maker{"resnet50", 1, [](const Wanted& w) { return owned(resnet50(resnet_options(w))); }},
    Maker{"resnet9", 8,
          [](const Wanted& w) {
            return owned(resnet9({w.num_classes, w.size.channels, w.width.value_or(ResNet9Options{}.width)}));
          },
          true},
    Maker{"simple_cnn", 4, [](const Wanted& w) { return owned(SimpleCNN(w.num_classes, w.image)); }},
    Maker{"vgg11_bn", 32,
          [](const Wanted& w) {
            return owned(vgg11_bn({w.num_classes, w.size.channels}));
          }},
};

constexpr std::array kNames = [] {
  std::array<std::string_view, kMakers.size()> names;
  std::ranges::transform(kMakers, names.begin(), &Maker::name);
  return names;
}();

}  // namespace

std::span<const std::string_view> model_names() noexcept { return kNames; }

std::unique_ptr<Sequential> make_model(std::string_view name, const Shape& image, int num_classes, std::optional<int> width) {
  const auto maker = std::ranges::find(kMakers, name, &Maker::name);
  if (maker == kMakers.end()) {
    throw std::invalid_argument(
        formatted("make_model: there is no model '{}'; the names are {}", printable(name, kMaxNameBytes), joined(kNames, ", ")));
  }
  if (width && !maker->has_width) throw std::invalid_argument(formatted("make_model: {} has no width", name));
  return maker->make({image, image_shape(name, image, maker->smallest), num_classes, width});
}

}  // namespace gpucnn
