#include <gpucnn/data/normalize.h>

#include <cstdint>
#include <numeric>
#include <stdexcept>

#include <gpucnn/core/memory/host_vector.h>
#include <gpucnn/core/text/formatted.h>
#include <gpucnn/core/threads/float_environment.h>
#include <gpucnn/kernels/image/image_batch.h>

namespace gpucnn {

Tensor Normalize::operator()(const Tensor& images) const {
  if (images.rank() != 4)
    throw std::invalid_argument(formatted("Normalize: expects [N, C, H, W], got {}", images.shape().string()));
  const FloatEnvironment standard;
  const std::vector<float> means(mean.begin(), mean.end()), deviations(std.begin(), std.end());
  std::vector<std::int64_t> all = host_vector<std::int64_t>(images.dim(0));
  std::iota(all.begin(), all.end(), 0);
  Stream stream(images.device());
  Tensor normalized = Tensor::empty(images.shape(), DType::f32, images.device());
  kernels::image_batch(images, all, {.mean = means, .std = deviations}, normalized, stream);
  return normalized;
}

}  // namespace gpucnn
