#include <gpucnn/train/parallel/joined_step.h>

#include <cmath>

#include <gpucnn/kernels/activation/activation.h>

namespace gpucnn {
namespace {

void scale(Tensor& x, double factor) {
  if (factor == 1 || x.numel() == 0) return;
  Stream stream(x.device());
  kernels::activation(x, {.kind = Activation::scaled, .factor = static_cast<float>(factor)}, x, stream);
}

}  // namespace

void JoinedStep::start(const Loss& loss, const BatchSums& own, std::int64_t images, Tensor& gradient) {
  if (!loss.is_sum()) scale(gradient, own.weight() / static_cast<double>(images));
  images_ = images;
  sums_ = own;
  pending_ = distributed_.begin_all_reduce(sums_.numbers());
}

void JoinedStep::backward(const Tensor& gradient) {
  pieces_.clear();
  buckets_.backward(gradient);
  for (Distributed::Pending& sum : pieces_) sum.wait();
  pieces_.clear();
}

const BatchSums& JoinedStep::finish(const Loss& loss) {
  pending_.wait();
  const double weight = sums_.weight();
  if (!loss.is_sum() && weight != 0 && std::isfinite(weight)) {
    Tensor all = buckets_.gradients();
    if (all.defined()) scale(all, static_cast<double>(images_) / weight);
  }
  return sums_;
}

}  // namespace gpucnn
