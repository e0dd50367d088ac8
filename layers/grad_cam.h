#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <gpucnn/core/export.h>
#include <gpucnn/core/shape.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// Where in an image a network sees a class: Grad-CAM. Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via
/// Gradient-based Localization" (2017). Let A [N, K, h, w] be the output of the module at the path `layer`, as "features.4", and G
/// the gradient of the logits of `classes` by A. Then
///
///     map[n, i, j] = max(0, sum over k of A[n, k, i, j] * (mean over p, q of G[n, k, p, q]))
///
/// images: f32 [N, C, H, W] as the network takes them, on its device; classes: one for each image. Returns f32 [N, h, w] on the
/// CPU. `upsampled_map` brings it to the size of the images.
///
/// Works in eval mode on a clone, so others may predict on the model meanwhile. Throws `std::invalid_argument` if there is no such
/// layer, or its output is not [N, K, h, w]. So it does if the model's output is not [N, number of classes], or `classes` does not
/// fit. Throws what the model throws, and `std::logic_error` for one that cannot be cloned.
GPUCNN_API Tensor grad_cam(const Module& model, const Tensor& images, std::span<const std::int64_t> classes,
                           std::string_view layer);
/// The same of one class for all images.
GPUCNN_API Tensor grad_cam(const Module& model, const Tensor& images, std::int64_t class_index, std::string_view layer);

/// A map [N, h, w] in the size of an image, f32 [N, height, width] from 0 to 1. Interpolated as by PyTorch's
/// `interpolate(mode="bilinear", align_corners=False)`, then divided by the largest number in each image. A map of zeros stays, and
/// so does one with a number that is not finite. Throws `std::invalid_argument` for another rank, dtype or device, or sizes
/// below 1.
GPUCNN_API Tensor upsampled_map(const Tensor& map, std::int64_t height, std::int64_t width);

/// The path of the last layer that makes maps, for an input of shape x: [N, K, h, w] with more than one point. It is the usual one
/// to look at: "features.5" of SimpleCNN, "layer4.1" of resnet18. Throws `std::invalid_argument` if there is none, and
/// `std::logic_error` for a model that `graph_of` cannot follow.
GPUCNN_API std::string last_map_layer(const Module& model, const Shape& x);

}  // namespace gpucnn
