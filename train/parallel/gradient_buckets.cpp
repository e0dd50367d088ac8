#include <gpucnn/train/parallel/gradient_buckets.h>

#include <vector>

namespace gpucnn {

Tensor GradientBuckets::gradients() const {
  const std::vector<Parameter> parameters = model_.parameters();
  return parameters.empty() ? Tensor{} : parameters.front().slot().grads;
}

void GradientBuckets::backward(const Tensor& gradient) {
  const Tensor all = gradients();
  std::int64_t end = all.defined() ? all.numel() : 0;  // of what was not begun
  const auto from = [&](std::int64_t first, std::int64_t least) {
    if (end - first < least) return;
    begin_(all.view(first, {end - first}));
    end = first;
  };
  model_.backward(gradient, [&from](std::int64_t first) { from(first, kMinElements); });
  from(0, 1);
}

}  // namespace gpucnn
