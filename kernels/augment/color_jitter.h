#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/augment/batch_position.h>
#include <gpucnn/kernels/augment/color_jitter_options.h>

namespace gpucnn::kernels {

/// Changes brightness, contrast, saturation and hue of each image by factors of its own, in a random order, as torchvision's
/// ColorJitter does. images: f32 [N, C, H, W] with C 1 or 3 and values in [0, 1], in place. Throws `std::invalid_argument` for
/// options outside their range, and for other C.
///
/// grey = 0.2989 r + 0.587 g + 0.114 b, of one channel itself. With a factor f:
///   brightness, contrast, saturation: clamp(f x + (1 - f) other, 0, 1), where other is 0, the image's mean grey, the pixel's grey
///   hue: adds f to the hue in HSV, modulo 1
/// Images of one channel have no saturation and no hue.
///
/// For image i, with e = position.first + i and words = RandomStream(seed, Purpose::augment, 1, epoch):
///   the factor of adjustment a, in the order above: low + (high - low) words.uniform(8 e + a), in double, rounded to f32
///   the order: k = words.below(8 e + 4, 24); for a = 3, 2, 1: swaps places a and k % (a + 1), k = k / (a + 1)
GPUCNN_API void color_jitter(Tensor& images, const ColorJitterOptions& options, const BatchPosition& position, Stream& stream);

}  // namespace gpucnn::kernels
