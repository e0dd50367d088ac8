#pragma once

#include <cstdint>
#include <optional>

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// What a model's output costs, one number for a batch. It is called and then asked for the gradient:
///
///     const Tensor value = loss(logits, targets);
///     model.backward(loss.backward());
///
/// Authors override `forward`, and `prepare` if targets come in several forms. One thread at a time.
class GPUCNN_API Loss {
 public:
  virtual ~Loss();

  /// The loss, f32 []: of `input`, the model's f32 output, and `targets`. Keeps its gradient. Throws `std::invalid_argument` for
  /// what the loss does not take.
  Tensor operator()(const Tensor& input, const Tensor& targets);
  /// The gradient of the last call's input, f32 of its shape. Throws `std::logic_error` a second time, or without a call.
  Tensor backward();

  /// The targets as `evaluate` takes them. Throws `std::invalid_argument` for those that do not fit the input; what lies on a GPU
  /// is checked there, and thrown by the next call that waits for it.
  virtual Tensor prepare(const Tensor& input, const Tensor& targets) const;
  /// Whether `prepare` only checks such targets, so that those it has seen once may be given to `evaluate` as they are.
  virtual bool takes_unprepared(const Tensor& targets) const;
  /// Whether it is the sum over the batch. Otherwise it is a mean, which Metrics multiply by the number of images.
  virtual bool is_sum() const;
  /// Whether such targets are probabilities of classes, f32 [N, C]. Metrics then count an image as right if its largest output is
  /// at its largest probability.
  virtual bool takes_probabilities(const Tensor& targets) const;
  /// The label of images that the loss leaves out, if it has one. Metrics count them as neither right nor wrong.
  virtual std::optional<std::int32_t> ignored_label() const;
  /// What a mean over such targets divides by, up to a factor that is the same for all batches; none, as here, for the number of
  /// images that are not ignored. Processes that have a part of a batch each weigh their means by it. `prepared`: of `prepare`.
  virtual std::optional<double> weight_of(const Tensor& prepared) const;
  /// As a call, for targets that `prepare` gave: queues work on the device, and waits for nothing.
  Tensor evaluate(const Tensor& input, const Tensor& prepared);

 protected:
  Loss();
  Loss(Loss&&) noexcept;
  Loss& operator=(Loss&&) noexcept;

  /// Computes the loss, f32 [], and in the same pass writes its gradient to `dinput`, f32 of input's shape.
  virtual Tensor forward(const Tensor& input, const Tensor& prepared, Tensor& dinput) const = 0;

 private:
  Tensor dinput_;
};

}  // namespace gpucnn
