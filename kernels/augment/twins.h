#pragma once

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/augment/batch_position.h>
#include <gpucnn/kernels/augment/color_jitter_options.h>
#include <gpucnn/kernels/augment/mix_options.h>
#include <gpucnn/kernels/common/declare_twins.h>

/// The twins of augmentations.
namespace gpucnn::kernels {

GPUCNN_TWINS(void color_jitter(Tensor& images, const ColorJitterOptions& options, const BatchPosition& position, Stream& stream))
GPUCNN_TWINS(void cutout(Tensor& images, int size, const BatchPosition& position, Stream& stream))
GPUCNN_TWINS(void mix(const Tensor& images, const Tensor& labels, const MixOptions& options, const BatchPosition& position,
                      Tensor& mixed, Tensor& probabilities, Stream& stream))

}  // namespace gpucnn::kernels
