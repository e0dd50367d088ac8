#include <gpucnn/layers/fusion/image_groups.h>

#include <algorithm>
#include <mutex>

#include <gpucnn/core/threads/parallel.h>

namespace gpucnn {
namespace {

/// Smaller batches have too few groups to share out.
constexpr std::int64_t kMinImages = 64;
/// Images of a group: 4 give kernels enough to do; with more than 16, small activations fit anyway.
constexpr std::int64_t kMinGroup = 4, kMaxGroup = 16;
/// Of a stage's x and y together, about half of a core's second-level cache.
constexpr std::int64_t kMaxElements = 1 << 18;
/// Of a stage: as many as of its activations. Every group reads them anew.
constexpr std::int64_t kMaxWeights = 1 << 18;

}  // namespace

bool is_for_groups(const Tensor& x) {
  return x.device().kind == Device::Kind::cpu && x.rank() == 4 && x.dim(0) >= kMinImages && x.numel() > 0;
}

ImageGroups image_groups(std::span<const std::unique_ptr<Stage>> stages, const Tensor& x, std::int64_t largest,
                         IsContainer is_container) {
  if (!is_for_groups(x)) return {};
  const std::int64_t images = x.dim(0);
  ImageGroups made;
  for (const auto& stage : stages) {
    const bool alone =
        std::ranges::all_of(stage->layers(), [is_container](Module* layer) { return is_image_wise(*layer, is_container); });
    if (!alone || stage->count_weights() > kMaxWeights) break;
    ++made.stages;
  }
  if (made.stages < 2) return {};
  const std::int64_t group = std::clamp(kMaxElements / (2 * largest), kMinGroup, kMaxGroup);
  made.groups = (images + group - 1) / group;
  return made;
}

Tensor run_in_groups(const ImageGroups& groups, std::span<const std::unique_ptr<Stage>> stages, const Tensor& x, Context& context) {
  const std::int64_t images = x.dim(0), x_image = x.numel() / images;
  Tensor y;
  std::mutex making_y;
  parallel_for(groups.groups, [&](std::int64_t group) {
    const std::int64_t first = group * images / groups.groups, count = (group + 1) * images / groups.groups - first;
    Tensor part = x.view(first * x_image, x.shape().with(0, count));
    for (std::size_t i = 0; i < groups.stages; ++i) part = stages[i]->forward(part, context);
    const std::int64_t y_image = part.numel() / count;
    const std::unique_lock lock(making_y);
    if (!y.defined()) y = Tensor::empty(part.shape().with(0, images), part.dtype(), part.device());
    y.view(first * y_image, part.shape()).copy_from(part);
  });
  return y;
}

}  // namespace gpucnn
