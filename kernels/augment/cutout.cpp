#include <gpucnn/kernels/augment/cutout.h>

#include <gpucnn/kernels/augment/check_augment.h>
#include <gpucnn/kernels/augment/twins.h>
#include <gpucnn/kernels/common/check.h>
#include <gpucnn/kernels/common/dispatch.h>

namespace gpucnn::kernels {

void cutout(Tensor& images, int size, const BatchPosition& position, Stream& stream) {
  check_tensor("cutout", "images", images, DType::f32, stream);
  check_rank("cutout", "images", images, 4);
  check_cutout("cutout", size, images.dim(2), images.dim(3));
  if (size == 0 || images.numel() == 0) return;
  dispatch(
      stream, [&] { cpu::cutout(images, size, position, stream); }, [&] { cuda::cutout(images, size, position, stream); });
}

}  // namespace gpucnn::kernels
