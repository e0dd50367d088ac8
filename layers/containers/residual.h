#pragma once

#include <cstddef>
#include <memory>
#include <utility>

#include <gpucnn/core/export.h>
#include <gpucnn/layers/containers/child_list.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// y = body(x) + shortcut(x), or body(x) + x without a shortcut: x of any shape that both take -> y of the shape that both make.
/// He et al., "Deep Residual Learning for Image Recognition" (2015). The children are called "body" and "shortcut", unless they
/// have names of their own:
///
///     Sequential{Residual(Sequential{…}), ReLU()}
///     Sequential{Residual(Sequential{…}, Conv2d(64, 128, {.kernel_size = 1, .stride = 2})), ReLU()}
///
/// A body that is a Residual itself needs a name, because `Residual(Residual(…))` is a move.
class GPUCNN_API Residual : public Module {
 public:
  /// Throws what `Sequential`'s constructor throws of its children.
  explicit Residual(Child body);
  Residual(Child body, Child shortcut);
  Residual(Residual&&) noexcept = default;
  Residual& operator=(Residual&&) noexcept = default;

  /// Throws `std::invalid_argument` if body and shortcut make different shapes of x.
  Shape output_shape(const Shape& x) const override;
  void members(Members& m) override;

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override;
  bool child_input_grad(std::size_t) const override { return input_grad(); }

 private:
  explicit Residual(ChildList children) : children_(std::move(children)) {}
  bool has_shortcut() const noexcept { return children_.size() > 1; }

  ChildList children_{"Residual"};
};

}  // namespace gpucnn
