#pragma once

#include <initializer_list>
#include <memory>
#include <vector>

#include <gpucnn/layers/containers/child.h>
#include <gpucnn/layers/containers/child_list.h>
#include <gpucnn/layers/module/module.h>

namespace gpucnn {

class AddingStage;
class Stage;

/// Layers one after the other, as PyTorch's Sequential. Children are called "0", "1", … or by the names given:
///
///     Sequential{Flatten(), Linear(784, 10)}
///     Sequential{{"features", Sequential{…}}, {"classifier", Sequential{…}}}
///
/// Always in braces: arguments in parentheses are built in an order that compilers choose. A Sequential that holds nothing but
/// another one gives it a name, because `Sequential{Sequential{…}}` is a move to some compilers. A network is a class derived from
/// it that passes its list on; it can be cloned if it overrides `copy`, as by `return copied_into(std::make_unique<Network>());`.
///
/// Layers may execute together, as Conv2d, ReLU and MaxPool2d in one pass; names, shapes and results stay.
class GPUCNN_API Sequential : public Module {
 public:
  using Child = gpucnn::Child;

  /// Of no layers, for `push_back`.
  Sequential() : Sequential(std::initializer_list<Child>()) {}
  /// Throws `std::invalid_argument` for a name that is taken or has a dot in it, and `std::logic_error` for a module that was moved
  /// from.
  Sequential(std::initializer_list<Child> children);
  /// The same of a list that is made at run time.
  explicit Sequential(std::vector<Child>&& children);
  ~Sequential() override;
  Sequential(Sequential&&) noexcept;
  Sequential& operator=(Sequential&&) noexcept;

  Shape output_shape(const Shape& x) const override;
  void members(Members& m) override;

  /// Appends a layer, called by its number if it has no name. Throws as the constructor does. Parameters and optimizers stay valid.
  void push_back(Child child);

  std::size_t size() const noexcept { return children_.size(); }

 protected:
  bool takes_ends() const override;
  bool gathers(const kernels::OrderedBatch& batch) const override;
  Tensor forward(const Tensor& x, Context& context) const override;
  Tensor gradients(const Tensor& dy, Context& context) override;
  /// For classes that add something to what the layers make: y = relu(forward(x) + addend) is `forward_sum` of what
  /// `forward_before_sum` makes of x. The last layers may make the sum in their own pass, and then run in the second half.
  Tensor forward_before_sum(const Tensor& x, Context& context) const;
  Tensor forward_sum(const Tensor& before, const Tensor& addend, Context& context) const;
  /// The gradient of what `forward_before_sum` made, from that of y. dsum, like dy, = the gradient of the sum, which is the
  /// addend's.
  Tensor gradients_of_sum(const Tensor& dy, Tensor& dsum, Context& context);
  /// What `gradients` returns, from what `gradients_of_sum` does, and `addend`, the gradient that reaches x by another way.
  Tensor gradients_before_sum(const Tensor& dbefore, const Tensor& addend, Context& context);
  int add_to(GraphBuilder& graph, int x) const override;
  std::unique_ptr<Module> copy() const override;
  /// For the `copy` of derived classes: gives `network` copies of this one's children instead of its own.
  std::unique_ptr<Module> copied_into(std::unique_ptr<Sequential> network) const;
  void placed(Device device) override;
  bool child_input_grad(std::size_t i) const override;
  void add_summary_rows(const Shape& x, std::vector<SummaryRow>& rows) override;

 private:
  bool has_hooked_layers() const;
  std::int64_t largest_image(const Shape& x) const;
  Tensor run(const Tensor& x, Context& context, bool apart, std::size_t stages) const;
  std::int64_t parameters_end(std::size_t stages) const;
  Tensor run_backward(std::size_t parts, const Tensor& dy, const Tensor& addend, Context& context);
  /// The last stage if it makes a sum; null where the children run one by one.
  AddingStage* adding_stage(bool apart) const;
  /// Appends the layers in order, with those of plain Sequentials among them in their place.
  void list_layers(std::vector<Module*>& layers) const;

  ChildList children_{"Sequential"};
  std::vector<std::unique_ptr<Stage>> stages_;
  mutable bool apart_ = false;  // whether the last forward that a backward may follow ran the children one by one
};

}  // namespace gpucnn
