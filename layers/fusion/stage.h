#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include <gpucnn/core/parameter.h>
#include <gpucnn/kernels/activation/activation.h>
#include <gpucnn/kernels/image/ordered_batch.h>
#include <gpucnn/layers/module/context.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

class AddingStage;

/// Layers of a Sequential that run together: a layer alone, or several whose work fits in one pass over memory. Results are those
/// of the layers one after the other, within rounding; a gradient that is not finite ends where the layers would multiply it by 0.
/// Refers to the layers, and owns what its backward needs.
class Stage {
 public:
  Stage() = default;
  virtual ~Stage() = default;
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  /// `context` is the Sequential's. Where a backward may follow (`context.keeps()`) it keeps what that needs; otherwise several
  /// threads may be here at once, and nothing is written.
  virtual Tensor forward(const Tensor& x, Context& context) = 0;
  /// From the gradient of the last forward's y to that of its x; undefined if the first layer need not compute it.
  virtual Tensor backward(const Tensor& dy, Context& context) = 0;

  /// What `backward` gives, where x is wanted, and `addend`, the gradient that reaches x by another way.
  virtual Tensor backward_plus(const Tensor& dy, const Tensor& addend, Context& context);

  /// The activation that made y, if its backward reads y alone and may be left to the stage behind; none otherwise.
  virtual Activation last_activation() const { return {}; }
  /// That it will be: from now on dy is the gradient of what that activation was given.
  virtual void leave_last_activation() {}
  /// Asks it to do the backward of the activation that makes its x, in its own dx. Whether it does from now on.
  virtual bool take_activation(const Activation&) { return false; }

  /// Whether nobody holds y but who gets it.
  virtual bool gives_y_away() const { return false; }
  /// That x is such a y, to be overwritten at will.
  virtual void own_x() { owns_x_ = true; }

  /// Whether its forward gathers this batch itself, which is its x: see StepEnds.
  virtual bool gathers(const kernels::OrderedBatch&) const { return false; }

  /// Itself if it is one; null: it is none.
  virtual AddingStage* adding() { return nullptr; }

  /// Whether one of its parameters is to be learned.
  bool learns() const {
    return std::ranges::any_of(parameters_, [](const Parameter& parameter) { return parameter.requires_grad(); });
  }
  /// Where its last parameter ends in the arena; 0 without any.
  std::int64_t parameters_end() const;
  void set_layers(std::span<Module* const> layers);

  std::span<Module* const> layers() const noexcept { return layers_; }
  /// Elements of all its parameters.
  std::int64_t count_weights() const;

 protected:
  /// x as `layer`, a layer's part in the call, multiplies it: `Context::operand`, in the same memory if the stage owns it.
  Tensor operand(const Tensor& x, const Context& layer) const;
  /// The same of a gradient that nobody else reads.
  static void make_operand(Tensor& gradient, const Context& layer);

 private:
  bool owns_x_ = false;
  std::vector<Module*> layers_;
  std::vector<Parameter> parameters_;  // of its layers
};

/// A stage that adds a tensor to its result, and applies ReLU to the sum, in the same pass: the end of a ResidualBlock's body.
class AddingStage : public Stage {
 public:
  /// relu(what `forward` makes + addend), keeping what the next needs as `forward` does.
  virtual Tensor forward_sum(const Tensor& x, const Tensor& addend, Context& context) = 0;
  /// What `backward` gives, of the last `forward_sum`. dsum, like dy, = the gradient of the sum: the addend's.
  virtual Tensor backward_sum(const Tensor& dy, Tensor& dsum, Context& context) = 0;

  AddingStage* adding() override { return this; }
};

}  // namespace gpucnn
