#include <gpucnn/train/judge.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <gpucnn/core/stream.h>
#include <gpucnn/kernels/metrics/count_correct.h>

namespace gpucnn {
namespace {

/// The labels as i32 where they are whole numbers [N]; undefined otherwise. One beyond 32 bits is no class, and becomes -1.
Tensor as_classes(const Tensor& labels, std::int64_t N) {
  if (labels.rank() != 1 || labels.dim(0) != N) return {};
  if (labels.dtype() == DType::i32) return labels;
  const auto converted = [&](const auto& values) {
    std::vector<std::int32_t> classes;
    classes.reserve(values.size());
    for (const auto value : values) classes.push_back(std::in_range<std::int32_t>(value) ? static_cast<std::int32_t>(value) : -1);
    return Tensor::from(classes, labels.shape(), labels.device());
  };
  if (labels.dtype() == DType::i64) return converted(labels.to_vector<std::int64_t>());
  if (labels.dtype() == DType::u8) return converted(labels.to_vector<std::uint8_t>());
  return {};
}

/// The same classes with -1, which is no class, in place of each `ignored`; how many there were is added to `count`.
Tensor without(std::int32_t ignored, const Tensor& classes, std::int64_t& count) {
  const Tensor host = classes.to(Device::cpu());
  const std::span<const std::int32_t> values(host.data<std::int32_t>(), static_cast<std::size_t>(host.numel()));
  const std::int64_t found = std::ranges::count(values, ignored);
  if (found == 0) return classes;
  count += found;
  Tensor replaced = host.clone();
  std::replace_copy(values.begin(), values.end(), replaced.data<std::int32_t>(), ignored, -1);
  return replaced.to(classes.device());
}

}  // namespace

Metrics judge(const Loss& loss, const Tensor& output, const Tensor& labels, const Tensor& loss_value) {
  const std::int64_t images = labels.rank() > 0 ? labels.dim(0) : 1;
  Metrics metrics{0, 0, images};
  Tensor classes = loss.takes_probabilities(labels) ? labels : as_classes(labels, output.rank() > 0 ? output.dim(0) : 0);
  if (const auto ignored = loss.ignored_label(); ignored && classes.defined() && classes.dtype() == DType::i32)
    classes = without(*ignored, classes, metrics.ignored);
  metrics.loss_sum = static_cast<double>(loss_value.item()) * (loss.is_sum() ? 1 : static_cast<double>(images - metrics.ignored));
  if (!classes.defined() || output.rank() != 2 || output.dim(1) == 0) return metrics;
  Stream stream(output.device());
  Tensor correct = Tensor::empty({}, DType::f32, output.device());
  kernels::count_correct(output, classes, correct, stream);
  metrics.correct = static_cast<std::int64_t>(correct.item());
  return metrics;
}

}  // namespace gpucnn
