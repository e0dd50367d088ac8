#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include <gpucnn/core/tensor.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// Runs a model's backward, and cuts its gradients into pieces of the arena, which are there while the backward still computes
/// those before.
class GradientBuckets {
 public:
  /// Begins to sum a piece over the processes: f32 [count], a view.
  using Begin = std::function<void(Tensor piece)>;

  /// Refers to the model.
  GradientBuckets(Module& model, Begin begin) : model_(model), begin_(std::move(begin)) {}

  /// Of the gradient of the model's output. Behind it every gradient was in a piece, once.
  void backward(const Tensor& gradient);

  /// The memory of all gradients, f32 [count]; undefined where there is no parameter.
  Tensor gradients() const;

 private:
  /// Smaller pieces are sent together: each has a latency.
  static constexpr std::int64_t kMinElements = std::int64_t{1} << 18;

  Module& model_;
  Begin begin_;
};

}  // namespace gpucnn
