#include <algorithm>

#include <gpucnn/core/tensor.h>
#include <gpucnn/core/threads/parallel.h>
#include <gpucnn/kernels/augment/mixture.h>
#include <gpucnn/kernels/augment/twins.h>

namespace gpucnn::kernels {
namespace {

constexpr std::int64_t kGrain = 32 * 1024;  // elements a task

void mix_labels(const Tensor& labels, const Mixture& mixture, std::int64_t K, float* row) {
  const auto* label = labels.data<std::int32_t>();
  const std::int64_t N = labels.dim(0);
  const auto add = [&](std::int32_t k, float share) {
    if (k >= 0 && k < K) row[k] += share;
  };
  for (std::int64_t i = 0; i < N; ++i, row += K) {
    std::fill_n(row, K, 0.0F);
    add(label[(i > 0 ? i : N) - 1], mixture.others);
    add(label[i], mixture.own);
  }
}

}  // namespace

void cpu::mix(const Tensor& images, const Tensor& labels, const MixOptions& options, const BatchPosition& position, Tensor& mixed,
              Tensor& probabilities, Stream&) {
  const std::int64_t N = images.dim(0), C = images.dim(1), H = images.dim(2), W = images.dim(3), size = C * H * W;
  const Mixture mixture = mixture_of(options.mixup_alpha, options.cutmix_alpha, position, H, W);
  mix_labels(labels, mixture, options.num_classes, probabilities.data<float>());
  if (size == 0) return;
  const float* x = images.data<float>();
  float* y = mixed.data<float>();
  parallel_ranges(N, std::max<std::int64_t>(1, kGrain / size), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const float *own = x + i * size, *other = x + ((i > 0 ? i : N) - 1) * size;
      float* to = y + i * size;
      if (!mixture.cuts) {
        for (std::int64_t e = 0; e < size; ++e) to[e] = mixture.others * other[e] + mixture.own * own[e];
        continue;
      }
      std::copy_n(own, size, to);
      for (std::int64_t row = mixture.box.top; row < mixture.box.bottom; ++row) {
        const std::int64_t corner = (row * W + mixture.box.left) * C;
        std::copy_n(other + corner, mixture.box.width() * C, to + corner);
      }
    }
  });
}

}  // namespace gpucnn::kernels
