#pragma once

#include <cstdint>

#include <gpucnn/core/stream.h>
#include <gpucnn/data/batch.h>
#include <gpucnn/kernels/augment/batch_position.h>
#include <gpucnn/kernels/augment/mix_options.h>

namespace gpucnn {

/// The images of a batch mixed with each other, and probabilities in place of its labels, i32 [N], which were checked: see
/// kernels/augment/mix.h.
Batch mixed(const Batch& batch, const MixOptions& options, const kernels::BatchPosition& position, Stream& stream);

/// Throws `std::invalid_argument` for f32 targets, which are no classes.
void check_have_classes(const Tensor& labels);

/// Throws `std::invalid_argument` for labels that are not i32 and for one outside [0, num_classes); on a GPU the next call that
/// waits for it does.
void check_classes(const Tensor& labels, std::int64_t num_classes, Stream& stream);

}  // namespace gpucnn
