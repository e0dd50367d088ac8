#pragma once

#include <string_view>

#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/image/image_transform.h>

namespace gpucnn::kernels {

/// What one call of `ordered_batch` takes, and where it writes; see image_batch.h. The transform's mean and std must outlive it.
struct OrderedBatch {
  Tensor images;             // u8 or f32 [M, C, H, W]
  Tensor labels;             // i32 [M]; undefined: none
  Tensor order;              // i64 [L]
  ImageTransform transform;  // of the images at order[transform.first] and following
  Tensor batch;              // f32, or bf16 on a GPU: transform.batch_shape(images.shape(), N)
  Tensor batch_labels;       // i32 [N]; undefined without labels
};

/// Throws `std::invalid_argument`, which begins with the operation's name, for what `ordered_batch` refuses.
void check_ordered_batch(std::string_view op, const OrderedBatch& batch, const Stream& stream);

/// Gathers it.
void ordered_batch(const OrderedBatch& batch, Stream& stream);

}  // namespace gpucnn::kernels
