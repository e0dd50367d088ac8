#include <gpucnn/kernels/augment/mix.h>

#include <gpucnn/kernels/augment/check_augment.h>
#include <gpucnn/kernels/augment/twins.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {

void mix(const Tensor& images, const Tensor& labels, const MixOptions& options, const BatchPosition& position, Tensor& mixed,
         Tensor& probabilities, Stream& stream) {
  check_tensor("mix", "images", images, DType::f32, stream);
  check_rank("mix", "images", images, 4);
  check_mix("mix", options);
  if (!options.any()) throw std::invalid_argument("mix: mixup_alpha or cutmix_alpha must be > 0, got 0 and 0");
  const std::int64_t N = images.dim(0);
  check_tensor("mix", "labels", labels, Shape{N}, DType::i32, stream);
  check_tensor("mix", "mixed", mixed, images.shape(), DType::f32, stream);
  check_tensor("mix", "probabilities", probabilities, Shape{N, options.num_classes}, DType::f32, stream);
  check_apart("mix", "images", images, "mixed", mixed);
  if (N == 0) return;
  dispatch(
      stream, [&] { cpu::mix(images, labels, options, position, mixed, probabilities, stream); },
      [&] { cuda::mix(images, labels, options, position, mixed, probabilities, stream); });
}

}  // namespace gpucnn::kernels
