#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/layers/containers/child_list.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

/// The outputs of several branches side by side, as `torch.cat([branch(x) for branch in branches], dim=1)`: x of any shape that all
/// take, branch i making [N, C_i, …] -> y: [N, C_0 + C_1 + …, …]. Szegedy et al., "Going Deeper with Convolutions" (2014).
/// Branches are called "0", "1", … or by the names given:
///
///     Concat{Conv2d(64, 32, {.kernel_size = 1}), Sequential{Conv2d(64, 32, {.kernel_size = 3, .padding = 1}), ReLU()}}
///
/// Always in braces, as Sequential.
class GPUCNN_API Concat : public Module {
 public:
  /// Throws `std::invalid_argument` for no branch, and what `Sequential`'s constructor throws of its children.
  Concat(std::initializer_list<Child> branches);
  explicit Concat(std::vector<Child>&& branches);
  Concat(Concat&&) noexcept = default;
  Concat& operator=(Concat&&) noexcept = default;

  /// Throws `std::invalid_argument` if the branches make shapes of x that differ elsewhere than in C.
  Shape output_shape(const Shape& x) const override;
  void members(Members& m) override;

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override;
  bool child_input_grad(std::size_t) const override { return input_grad(); }

 private:
  explicit Concat(ChildList children) : children_(std::move(children)) {}
  template <class List>
  void add_all(const List& branches);

  ChildList children_{"Concat"};
};

}  // namespace gpucnn
