#pragma once

#include <cstddef>
#include <cstdint>

#include <gpucnn/core/export.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/core/precision.h>
#include <gpucnn/core/random.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

class Module;
struct StepEnds;

/// One module's part in one call of the model: what its `forward` and `gradients` may ask, and what they keep. Modules hand it on
/// to the modules inside them: `layer_(x, context)`, `layer_.backward(dy, context)`. It ends with the call. One thread.
class GPUCNN_API Context {
 public:
  /// Where work is queued.
  Stream& stream() const noexcept;

  /// What the model is computed with.
  Precision precision() const noexcept;

  /// Whether the module is in training mode; never in `predict`. In `gradients`: what the forward was told.
  bool training() const noexcept;
  /// Whether a backward may follow; not in `predict`.
  bool keeps() const noexcept;
  /// Whether `gradients` must return the gradient of x.
  bool input_grad() const noexcept;

  /// Keeps tensors for `gradients`, in this order, if a backward may follow. They are given back when `gradients` returns.
  template <class... Tensors>
  void save(const Tensors&... tensors) {
    if (keeps()) (save_one(tensors), ...);
  }
  /// In `gradients`: saved tensor number `i`. Throws `std::logic_error` that names the layer if there are not so many.
  const Tensor& saved(std::size_t i = 0) const;
  /// In `gradients`: the shapes of the forward's x and y.
  const Shape& x_shape() const;
  const Shape& y_shape() const;

  /// This module's random numbers in this call: index = its number in the tree; step = how many forwards of the model came before
  /// that were in training or drew numbers. In `gradients` the same as in the forward.
  RandomStream random(Purpose purpose) const;
  /// The same for numbers of which each element of x, [N, …], takes one. Where the images are a part of a batch that several
  /// processes share, they draw what the whole batch would draw for them.
  RandomStream random(Purpose purpose, const Shape& x) const;

  /// Whether the call's images are a part of the batch; see StepEnds::counts. In `gradients`: what the forward was told.
  bool counts() const noexcept;

  /// The values of a parameter as they are multiplied with activations: its own, or with `Precision::bf16` a copy in bf16. On the
  /// CPU that copy is f32, of numbers that bf16 has.
  Tensor operand(const Parameter& parameter) const;
  /// An activation, or the gradient of one, as it is multiplied: itself, or with bf16 on the CPU a rounded copy.
  Tensor operand(const Tensor& x) const;

  /// Whether this is the outermost module's part in a call, and that module passes x and y on as they are: Module::takes_ends. Then
  /// no code but the library's sees gradients before the backward ends.
  bool leads() const noexcept;
  /// Of such a module in a training step: what its first and last layers may do in their kernels. Null elsewhere.
  StepEnds* ends() const noexcept;
  /// In the backward of such a module: tells who waits for it that all gradients are there from element `first` of the arena on.
  void tell_gradients(std::int64_t first) const;
  /// Whether anybody waits for that.
  bool tells_gradients() const noexcept;

  /// For containers that compute in its place what a module inside them stands for: that module's part in this call, to ask for its
  /// mode, random numbers and parameters. It keeps nothing: the container does. Throws `std::logic_error` if the module has served
  /// in this call already.
  Context enter(const Module& inner);

 private:
  friend class Module;
  struct Call;   // the outermost call
  struct Saved;  // what one module keeps from its forward to its backward
  Context(const Module& module, Call& call, Saved* saved, bool backward);
  void save_one(const Tensor& tensor);
  const Saved& forward_state() const;

  const Module& module_;
  Call& call_;
  Saved* saved_;  // null where nothing is kept
  bool backward_;
};

}  // namespace gpucnn
