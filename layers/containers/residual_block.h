#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/layers/containers/child.h>
#include <gpucnn/layers/containers/sequential.h>

namespace gpucnn {

/// y = relu(body(x) + shortcut(x)), or relu(body(x) + x) without a shortcut: x of any shape that both take -> y of the shape that
/// both make. The building block of He et al., "Deep Residual Learning for Image Recognition" (2015).
///
/// It is a Sequential, whose layers are the body and run in its stages, and one child more. So the names are flat, as torchvision's
/// are: "conv1", "bn1", …, "downsample". The shortcut is called "shortcut" unless it has a name of its own:
///
///     ResidualBlock({{"conv1", Conv2d(…)}, {"bn1", BatchNorm2d(…)}, …}, {"downsample", Sequential{…}})
class GPUCNN_API ResidualBlock : public Sequential {
 public:
  /// Throws what `Sequential`'s constructor throws of its children.
  explicit ResidualBlock(std::initializer_list<Child> body);
  ResidualBlock(std::initializer_list<Child> body, Child shortcut);
  /// The same of a body that is made at run time.
  explicit ResidualBlock(std::vector<Child>&& body);
  ResidualBlock(std::vector<Child>&& body, Child shortcut);
  ResidualBlock(ResidualBlock&&) noexcept = default;
  ResidualBlock& operator=(ResidualBlock&&) noexcept = default;

  /// Throws `std::invalid_argument` if body and shortcut make different shapes of x.
  Shape output_shape(const Shape& x) const override;
  void members(Members& m) override;

 protected:
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override;
  bool child_input_grad(std::size_t i) const override;
  void add_summary_rows(const Shape& x, std::vector<SummaryRow>& rows) override;

 private:
  void take_shortcut(const Child& child);
  bool has_shortcut() const noexcept { return shortcut_.size() > 0; }

  ChildList shortcut_{"ResidualBlock"};  // none, or one
};

}  // namespace gpucnn
