#include <gpucnn/train/parallel/batch_sums.h>

#include <cstdint>

namespace gpucnn {

BatchSums::BatchSums(const Loss& loss, const Tensor& labels, const Metrics& seen, double loss_value)
    : numbers_{loss_value, static_cast<double>(seen.correct), static_cast<double>(seen.images), static_cast<double>(seen.ignored),
               static_cast<double>(seen.images - seen.ignored)} {
  if (loss.is_sum()) return;
  if (const auto weight = loss.weight_of(labels)) numbers_[4] = *weight;
  numbers_[0] = weight() == 0 ? 0 : loss_value * weight();  // the mean over no image is NaN, and adds nothing to the batch's
}

double BatchSums::loss(const Loss& loss) const { return loss.is_sum() ? numbers_[0] : numbers_[0] / weight(); }

Metrics BatchSums::metrics(const Loss& loss) const {
  const auto whole = [](double number) { return static_cast<std::int64_t>(number); };
  Metrics metrics{numbers_[0], whole(numbers_[1]), whole(numbers_[2]), whole(numbers_[3])};
  const double counted = numbers_[2] - numbers_[3];
  if (!loss.is_sum() && (weight() != counted || counted == 0)) metrics.loss_sum = this->loss(loss) * counted;
  return metrics;
}

}  // namespace gpucnn
