#include <gpucnn/data/mixed_batch.h>

#include <stdexcept>
#include <string_view>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/kernels/augment/mix.h>
#include <gpucnn/kernels/copy/labels.h>

namespace gpucnn {

Batch mixed(const Batch& batch, const MixOptions& options, const kernels::BatchPosition& position, Stream& stream) {
  const Tensor& images = batch.inputs;
  Batch made{Tensor::empty(images.shape(), DType::f32, images.device()),
             Tensor::empty({images.dim(0), options.num_classes}, DType::f32, images.device())};
  kernels::mix(images, batch.labels, options, position, made.inputs, made.labels, stream);
  return made;
}

void check_have_classes(const Tensor& labels) {
  if (labels.dtype() != DType::i32) {
    throw std::invalid_argument(formatted("DataLoader: mixup and cutmix take labels of classes, but the dataset has {} targets {}",
                                          name_of(labels.dtype()), labels.shape().string()));
  }
}

void check_classes(const Tensor& labels, std::int64_t num_classes, Stream& stream) {
  check_have_classes(labels);
  Tensor same = Tensor::empty(labels.shape(), DType::i32, labels.device());
  try {
    kernels::to_labels(labels, num_classes, same, stream);
  } catch (const std::invalid_argument& refusal) {
    std::string_view words = refusal.what();
    if (constexpr std::string_view kKernel = "to_labels: "; words.starts_with(kKernel)) words.remove_prefix(kKernel.size());
    throw std::invalid_argument(formatted("DataLoader: {}; mixup and cutmix need every class in num_classes", words));
  }
}

}  // namespace gpucnn
