#include <gpucnn/kernels/augment/color_jitter.h>

#include <gpucnn/kernels/augment/check_augment.h>
#include <gpucnn/kernels/augment/twins.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {

void color_jitter(Tensor& images, const ColorJitterOptions& options, const BatchPosition& position, Stream& stream) {
  check_tensor("color_jitter", "images", images, DType::f32, stream);
  check_rank("color_jitter", "images", images, 4);
  check_color_jitter("color_jitter", options, images.dim(1));
  if (!options.any()) return;
  dispatch(
      stream, [&] { cpu::color_jitter(images, options, position, stream); },
      [&] { cuda::color_jitter(images, options, position, stream); });
}

}  // namespace gpucnn::kernels
