#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/core/precision.h>
#include <gpucnn/core/random.h>
#include <gpucnn/core/state_dict.h>
#include <gpucnn/core/stream.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/layers/members.h>

namespace gpucnn {

/// A layer, or a network of layers. Users call it: `Tensor y = model(x);` and `model.backward(dy)`. Authors of a layer override
/// `output_shape`, `forward`, `backward`, and `members` if it has parameters or children.
///
/// Movable, not copyable; parameters and optimizers stay valid when it moves. A module that was moved from throws
/// `std::logic_error` when it is used, until another is moved into it. One thread at a time. The outermost module of a call is the
/// root; the first call to any member function but the constructor makes it one, names its parameters, packs them and draws their
/// values, unless they were loaded before, as `init(0)` does. An input that does not fit is refused before anything is drawn.
class GPUCNN_API Module {
 public:
  virtual ~Module();
  Module(Module&&) noexcept;
  Module& operator=(Module&&) noexcept;

  /// y = forward(x), after checking x's shape against every layer: throws `std::invalid_argument` that names the layer and both
  /// sizes before any work is done. In training, what backward needs is kept. Throws `std::logic_error` if one module is used twice
  /// in a call whose backward would need both.
  Tensor operator()(const Tensor& x);

  /// y as in `eval()`, with nothing kept for a backward; the mode is restored. The fastest way to an answer.
  Tensor predict(const Tensor& x);

  /// The shape of y for an input of shape x. Throws `std::invalid_argument` if x does not fit.
  virtual Shape output_shape(const Shape& x) const = 0;
  /// Computes y. Called through `operator()`.
  virtual Tensor forward(const Tensor& x) = 0;
  /// Takes the gradient of y, adds the gradients of the parameters to theirs and returns the gradient of x: undefined if
  /// `!input_grad()`. Consumes what forward kept: a second call, or one without a forward, throws `std::logic_error` that names the
  /// layer.
  virtual Tensor backward(const Tensor& dy) = 0;
  /// Reports parameters, buffers and children; see Members.
  virtual void members(Members& m);

  /// All parameters of the tree, each once, in order.
  std::vector<Parameter> parameters();
  /// Forgets all gradients; the next backward writes instead of adding.
  void zero_grad();

  /// Names and tensors of all parameters and buffers; they share memory with the module, as in PyTorch.
  StateDict state_dict();
  /// Copies values in. Every shape must fit (`std::invalid_argument`); if `strict`, the names must be the same on both sides.
  /// Nothing changes when it throws.
  void load_state_dict(const StateDict& state, bool strict = true);

  /// Draws all values anew, where they lie: parameter i of `parameters()` from RandomStream(seed, Purpose::weights, i). On the root
  /// the seed is also dropout's, whose count of forwards starts again.
  Module& init(std::uint64_t seed);
  /// Moves parameters and buffers. Handles and optimizers stay valid. Throws `DeviceError` if the device cannot be used or has not
  /// the model's precision.
  Module& to(Device device);
  Device device();

  /// What the whole model is computed with; fp32 at first. Its input and output are f32 in any case, but with bf16 layers inside it
  /// meet bf16 tensors. Throws `DeviceError` if the model's device cannot.
  Module& set_precision(Precision precision);
  Precision precision() const noexcept;

  /// Sets the mode of the whole tree, as PyTorch's: dropout drops only in training. Modules start in training.
  Module& train(bool on = true);
  Module& eval() { return train(false); }
  bool training() const noexcept;

  /// Whether backward computes the gradient of the input. On at first, but off for a Sequential that is nobody's child: a network's
  /// input is data, whose gradient nobody asks for, and its first layer saves the work.
  Module& set_input_grad(bool on);
  bool input_grad() const noexcept { return input_grad_; }

  /// A table of the layers: name, kind, output shape for input shape x, parameters, and their total.
  std::string summary(const Shape& x);

  /// The class's name without its namespace, as `Conv2d`.
  std::string kind() const;
  /// `features.0 Conv2d`: the path in the root, if any, and the kind.
  std::string label() const;

 protected:
  Module();

  /// Where work is queued. Throws `std::logic_error` before the first use.
  Stream& stream();
  /// Whether a backward may follow the forward under way.
  bool keeps() const noexcept;
  /// The random numbers of this module in the forward under way: index = its place in the tree, step = how many forwards of the
  /// root came before that were in training or drew numbers.
  RandomStream random(Purpose purpose) const;

  /// Holds `value` for the backward, if one may follow.
  void keep(Tensor& slot, const Tensor& value) {
    if (keeps()) slot = value;
  }
  /// What forward kept in `slot`. Throws `std::logic_error` that names this layer if there is nothing.
  const Tensor& kept(const Tensor& slot) const;
  /// The same, and empties the slot.
  Tensor consume(Tensor& slot) const;
  /// The same for what is not a tensor.
  template <class T>
  const T& kept(const std::optional<T>& slot) const {
    if (!slot) fail_backward();
    return *slot;
  }
  template <class T>
  T consume(std::optional<T>& slot) const {
    kept(slot);
    return *std::exchange(slot, std::nullopt);
  }
  /// The values of a parameter as they are multiplied with activations: its own, or with `Precision::bf16` a copy in bf16.
  Tensor operand(const Parameter& parameter) const;
  /// dy in the dtype of the activations. Throws `std::invalid_argument` that names this layer unless dy is f32 or of that dtype,
  /// and of shape `y`.
  Tensor check_gradient(const Tensor& dy, const Shape& y);
  /// dx as backward returns it: f32 from the root, whose input was f32.
  Tensor returned(Tensor dx);

  /// For a container that knows that a ReLU follows: asks this layer to apply it in its own pass from now on, or no longer. False
  /// from layers that cannot.
  virtual bool set_relu_follows(bool on);

  /// Whether child number `i` must compute the gradient of its input. A container whose backward needs all of them says so, as
  /// here.
  virtual bool child_input_grad(std::size_t i) const;
  /// Throws `std::logic_error` that names the module if it was moved from.
  static void refuse_moved_from(const Module& module);
  /// `child.output_shape(x)`; what it throws is given the child's label, and `hint` at its end.
  static Shape shape_of(const Module& child, const Shape& x, const std::string& hint = {});
  /// This module's lines of `summary`; containers that know the order of their children give one for each.
  struct SummaryRow {
    std::string name, kind;
    Shape output;
    std::int64_t parameters;
  };
  virtual void add_summary_rows(const Shape& x, std::vector<SummaryRow>& rows);
  static void summarize(Module& child, const Shape& x, std::vector<SummaryRow>& rows) { child.add_summary_rows(x, rows); }
  /// For containers that hand out what is inside them: the module at `path` from here, as "features.0", or null. Names and draws
  /// the whole tree first, as any use does.
  Module* find_module(std::string_view path);

 private:
  friend class CapturedSteps;
  friend class Stage;
  struct Root;
  class Call;
  class Walk;
  void make_root(Root made);
  void find_root();
  void prepare();
  void note_use();
  template <class OnModule, class OnParameter>
  void for_tree(const OnModule& on_module, const OnParameter& on_parameter);
  void spread_input_grad();
  Tensor run(const Tensor& x);
  void cast_operands();
  Tensor as(DType dtype, const Tensor& x);
  std::uint64_t& training_forwards();
  std::array<Tensor, 2> memory();
  void check_input(const Tensor& x) const;
  [[noreturn]] void fail_backward() const;

  std::shared_ptr<Root> root_;  // shared by all modules of a tree
  std::string path_;
  std::uint32_t index_ = 0;      // in the tree, the root being 0
  std::uint64_t last_call_ = 0;  // the root's call in which this module last kept something
  bool training_ = true;
  bool input_grad_ = true;
  bool moved_from_ = false;
};

}  // namespace gpucnn
