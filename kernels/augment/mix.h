#pragma once

#include <gpucnn/core/export.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/augment/batch_position.h>
#include <gpucnn/kernels/augment/mix_options.h>

namespace gpucnn::kernels {

/// Mixes each image of a batch with the one before it, the first with the last, and their labels in the same proportion, as
/// torchvision.transforms.v2's MixUp and CutMix do. images: f32 [N, C, H, W]; labels: i32 [N]; mixed: f32 as images, of other
/// memory; probabilities: f32 [N, options.num_classes]. A label outside [0, num_classes) has no probability: whoever calls checks
/// labels. Throws `std::invalid_argument` for options that mix nothing or lie outside their range.
///
/// With a share s of the image's own, and j the image before i:
///   mixup: mixed[i] = s images[i] + (1 - s) images[j]. Zhang, Cisse, Dauphin and Lopez-Paz (ICLR 2018).
///   cutmix: mixed[i] = images[i], but images[j] in a box of share 1 - s. Yun et al. (ICCV 2019).
///   probabilities[i] = s of labels[i] + (1 - s) of labels[j]
///
/// All images of a batch have the same s and box. With words = RandomStream(seed, Purpose::augment, 3, epoch) from word 8
/// position.first on: if both have an alpha, the highest bit of word 0 is 1 for cutmix. u and v: words 1 and 2, plus 1/2, divided
/// by 2^32. Then lambda ~ Beta(alpha, alpha) is (1 + c / sqrt(z / (1 - z) + c^2)) / 2 with z = u^(1 / alpha) and c = cos(2 pi v),
/// in double: Bailey's polar method for Student's t (Mathematics of Computation 62, 1994) with 2 alpha degrees of freedom.
///   mixup: s = lambda
///   cutmix: r = sqrt(1 - lambda) / 2; the box goes from floor(r H) rows and floor(r W) columns before row below(H) of word 4 and
///   column below(W) of word 3 to as many behind it, as far as the image goes; s = 1 - its area / (H W)
/// s and 1 - s are rounded to f32. The two devices' exp, log and cos may differ in the last bit of a double.
GPUCNN_API void mix(const Tensor& images, const Tensor& labels, const MixOptions& options, const BatchPosition& position,
                    Tensor& mixed, Tensor& probabilities, Stream& stream);

}  // namespace gpucnn::kernels
