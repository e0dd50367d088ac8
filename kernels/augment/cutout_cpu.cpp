#include <algorithm>

#include <gpucnn/core/tensor.h>
#include <gpucnn/kernels/augment/cutout_square.h>
#include <gpucnn/kernels/augment/twins.h>

namespace gpucnn::kernels {

// One thread: it writes little, and waking another takes longer.
void cpu::cutout(Tensor& images, int size, const BatchPosition& position, Stream&) {
  const std::int64_t N = images.dim(0), C = images.dim(1), H = images.dim(2), W = images.dim(3);
  float* image = images.data<float>();
  for (std::int64_t i = 0; i < N; ++i, image += H * W * C) {
    const Box square = cutout_square(size, position, image_position(position, i), H, W);
    for (std::int64_t row = square.top; row < square.bottom; ++row) {
      std::fill_n(image + (row * W + square.left) * C, square.width() * C, 0.0F);
    }
  }
}

}  // namespace gpucnn::kernels
