#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include <gpucnn/core/export.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/layers/containers/sequential.h>

namespace gpucnn {

/// The names that `make_model` takes, in the order of the alphabet.
GPUCNN_API std::span<const std::string_view> model_names() noexcept;

/// The model of this name for images of the shape [C, H, W], in colour or grey: [N, C, H, W] -> logits [N, num_classes]. resnet18,
/// resnet34 and resnet50 begin with their small stem where the shorter side is at most 64 pixels. `width` is resnet9's.
///
/// Throws `std::invalid_argument` for another name, a width where the model has none, and what the model's own function throws;
/// also where images are smaller than the model takes.
GPUCNN_API std::unique_ptr<Sequential> make_model(std::string_view name, const Shape& image, int num_classes,
                                                  std::optional<int> width = {});

}  // namespace gpucnn
