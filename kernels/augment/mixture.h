#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include <gpucnn/kernels/augment/augment_stream.h>
#include <gpucnn/kernels/augment/box.h>
#include <gpucnn/kernels/common/host_device.h>

/// What mixing draws for a batch, for both devices: see mix.h.
namespace gpucnn::kernels {

struct Mixture {
  bool cuts;          // in a box, instead of everywhere
  float own, others;  // shares, whose sum is 1
  Box box;
};

/// A number in (0, 1).
GPUCNN_HOST_DEVICE inline double inner_uniform(std::uint32_t word) { return (static_cast<double>(word) + 0.5) * 0x1p-32; }

/// Distributed as Beta(alpha, alpha) if u and v are uniform in (0, 1).
GPUCNN_HOST_DEVICE inline double symmetric_beta(double alpha, double u, double v) {
  const double z = std::exp(std::log(u) / alpha), c = std::cos(2 * std::numbers::pi * v);
  return 0.5 * (1 + c / std::sqrt(z / (1 - z) + c * c));
}

GPUCNN_HOST_DEVICE inline Mixture mixture_of(double mixup_alpha, double cutmix_alpha, const BatchPosition& batch, std::int64_t H,
                                             std::int64_t W) {
  const RandomStream random = augment_stream(batch, Augmentation::mix);
  const std::uint64_t words = 8 * static_cast<std::uint64_t>(batch.first);
  Mixture mixture{};
  mixture.cuts = mixup_alpha == 0 || (cutmix_alpha != 0 && random.word(words) >> 31 != 0);
  const double lambda = symmetric_beta(mixture.cuts ? cutmix_alpha : mixup_alpha, inner_uniform(random.word(words + 1)),
                                       inner_uniform(random.word(words + 2)));
  double share = lambda;
  if (mixture.cuts) {
    const double r = 0.5 * std::sqrt(1 - lambda);
    const auto half_height = static_cast<std::int64_t>(r * static_cast<double>(H));
    const auto half_width = static_cast<std::int64_t>(r * static_cast<double>(W));
    const std::int64_t column = random.below(words + 3, static_cast<std::uint32_t>(W));
    const std::int64_t row = random.below(words + 4, static_cast<std::uint32_t>(H));
    mixture.box = inside({row - half_height, row + half_height, column - half_width, column + half_width}, H, W);
    const auto area = static_cast<double>(mixture.box.height() * mixture.box.width());
    share = H > 0 && W > 0 ? 1 - area / static_cast<double>(H * W) : 1;
  }
  mixture.own = static_cast<float>(share);
  mixture.others = static_cast<float>(1 - share);
  return mixture;
}

}  // namespace gpucnn::kernels
