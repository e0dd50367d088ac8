#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include <gpucnn/layers/fusion/image_wise.h>
#include <gpucnn/layers/fusion/stage.h>

namespace gpucnn {

/// How a prediction on the CPU runs its first stages: each task takes a few images through all of them. So activations stay in a
/// core's cache, and threads meet once instead of once a stage.
struct ImageGroups {
  std::size_t stages = 0;   // that run so; 0: none
  std::int64_t groups = 0;  // of neighbouring images, that differ in length by one at most

  explicit operator bool() const noexcept { return stages > 0; }
};

/// Whether a batch may go in groups: of images on the CPU, and not of few. Cheap, for it is asked in every prediction.
bool is_for_groups(const Tensor& x);

/// For a batch x of which an image has at most `largest` elements before or behind a stage. The groups depend on sizes, never on
/// the number of threads. There are none for few images, and no stages among them whose weights are so large that they should be
/// read once a batch.
ImageGroups image_groups(std::span<const std::unique_ptr<Stage>> stages, const Tensor& x, std::int64_t largest,
                         IsContainer is_container);

/// The last of these stages' y.
Tensor run_in_groups(const ImageGroups& groups, std::span<const std::unique_ptr<Stage>> stages, const Tensor& x, Context& context);

}  // namespace gpucnn
