#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/parameter.h>
#include <gpucnn/core/precision.h>
#include <gpucnn/core/state_dict.h>
#include <gpucnn/core/tensor.h>
#include <gpucnn/layers/module/context.h>
#include <gpucnn/layers/module/members.h>

namespace gpucnn {

namespace kernels {
struct OrderedBatch;
}
class GraphBuilder;

/// A layer, or a network of layers. Users call it: `Tensor y = model(x);` and `model.backward(dy)`. Authors of a layer override
/// `output_shape`, `forward`, `gradients`, and `members` if it has parameters or children.
///
/// Movable, not copyable; parameters and optimizers stay valid when it moves. A module that was moved from throws
/// `std::logic_error` when it is used, until another is moved into it.
///
/// The outermost module of a call is the root. The first call, or the first question for parameters, state or device, makes it one:
/// it names the parameters, packs them, and draws the values that were not loaded, as `init(0)` does. An input that does not fit is
/// refused before anything is drawn. A part that is replaced by assignment joins the tree at the root's next call.
///
/// Threads: any number may `predict` on one model at once. All else wants the model for itself. `operator()`, `backward`, `init`,
/// `to`, `set_precision` and `load_state_dict` see another call and throw `std::logic_error`; other functions do not look.
class GPUCNN_API Module {
 public:
  virtual ~Module();

  /// y = forward(x), after checking x's shape against every layer: throws `std::invalid_argument` that names the layer and both
  /// sizes before any work is done. What backward needs is kept. Throws `std::logic_error` if one module is used twice in a call
  /// whose backward would need both.
  Tensor operator()(const Tensor& x);
  /// The same of a module inside the one whose `forward` or `gradients` is under way: a part of that call.
  Tensor operator()(const Tensor& x, Context& context) const;

  /// For a training step, whose forward and loss the model's first and last layers may compute in their kernels: see StepEnds. x is
  /// as above, or the batch that is still to be gathered, f32 or of the activations' dtype.
  Tensor operator()(const Tensor& x, StepEnds& ends);

  /// y as in `eval()`, within rounding, with nothing kept for a backward. The fastest way to an answer, and the one that many
  /// threads may take at once: each gets the bits that it would get alone.
  Tensor predict(const Tensor& x) const;

  /// dy: the gradient of y, f32 of y's shape on the model's device. Adds the gradients of the parameters to theirs. Returns the
  /// gradient of x, f32; undefined if `!input_grad()`. Consumes what the forward kept: a second call, or one without a forward,
  /// throws `std::logic_error` that names the layer. So does one after a change of the model. Another dy throws
  /// `std::invalid_argument`.
  Tensor backward(const Tensor& dy);
  /// Is told during a backward that from element `first` of the arena on (`Parameter::slot`) all gradients are there. `first`
  /// falls.
  using GradientsFrom = std::function<void(std::int64_t first)>;
  /// The same for a training step that sends gradients on while the backward still runs. A Sequential tells behind each of its
  /// stages that is not its first, other modules nothing.
  Tensor backward(const Tensor& dy, const GradientsFrom& gradients_from);
  /// The same of a module inside the one whose `gradients` is under way. dy and the result have the dtype of the activations.
  Tensor backward(const Tensor& dy, Context& context);

  /// The module at `path`, as "features.0": to ask, to run alone, or to replace, `model.at<Linear>("fc") = Linear(512, 5)`. What is
  /// assigned joins the model at its next use: it is named, drawn as `init` draws, and goes to the model's device and precision. An
  /// optimizer that was made before still has the old layer's parameters: make another. Throws `std::invalid_argument` if there is
  /// none, or it is no M; the message says what there is.
  template <class M = Module>
  M& at(std::string_view path) {
    Module& found = part(path);
    if (auto* module = dynamic_cast<M*>(&found)) return *module;
    fail_at(found);
  }
  template <class M = Module>
  const M& at(std::string_view path) const {
    return const_cast<Module&>(*this).at<M>(path);
  }

  /// The shape of y for an input of shape x. Throws `std::invalid_argument` if x does not fit.
  virtual Shape output_shape(const Shape& x) const = 0;
  /// Reports parameters, buffers and children; see Members.
  virtual void members(Members& m);

  /// All parameters of the tree, each once, in order.
  std::vector<Parameter> parameters();
  /// All buffers of the tree: tensors that are saved, but not learned. They share memory with the module.
  std::vector<Tensor> buffers();
  /// Forgets all gradients; the next backward writes instead of adding.
  void zero_grad();
  /// Freezes every parameter of the tree, or learns it again, as PyTorch's `requires_grad_`: see Parameter::requires_grad. Where
  /// the input of a Sequential needs no gradient, layers before the first one that learns have no backward, and that one computes
  /// no gradient of its input. So it is in all that is inside it, branches of a Residual or Concat too.
  Module& requires_grad(bool on);

  /// Freezes the tree: `requires_grad(false)`, and it stays in eval mode whatever `train` says to it or to a model that holds it.
  /// So running statistics stay, and dropout passes on. `freeze(false)` learns all of it again, in the mode that `train` or `eval`
  /// said last. A part that is replaced is not frozen; a clone is. Layers ask `Context::training()`, and need nothing for it.
  Module& freeze(bool on = true);
  bool frozen() const noexcept { return frozen_; }

  /// Names and tensors of all parameters and buffers; they share memory with the module, as in PyTorch.
  StateDict state_dict();
  /// Copies values in, by name, from any device. What is f32 here takes every dtype, as PyTorch's `copy_`: rounded to the nearest,
  /// ties to even. Throws `std::invalid_argument` if a name of both sides has another shape, another dtype where it is not f32
  /// here, or was left out of the state. If `strict`, it throws also unless the names are the same on both sides, lists the others,
  /// and says which prefix would make them fit. Nothing changes when it throws. Returns the names that are on one side only.
  IncompatibleKeys load_state_dict(const StateDict& state, bool strict = true);

  /// Draws all values anew, where they lie: parameter i of `parameters()` from RandomStream(seed, Purpose::weights, i). On the root
  /// the seed is also dropout's, whose count of forwards starts again.
  Module& init(std::uint64_t seed);
  /// The seed of the last `init`, 0 before: that of dropout's random numbers.
  std::uint64_t random_seed();
  /// How many forwards there were that were in training or drew numbers: the step of the random numbers that the next one draws.
  std::uint64_t random_step();
  /// Sets it, to go on where another run stopped.
  void set_random_step(std::uint64_t step);

  /// Moves parameters and buffers. Handles and optimizers stay valid. Throws `DeviceError` if the device cannot be used or has not
  /// the model's precision.
  Module& to(Device device);
  Device device();

  /// What the whole model is computed with; fp32 at first. Its input and output are f32 in any case, but on a GPU with bf16 layers
  /// inside it meet bf16 tensors. Throws `DeviceError` if the model's device cannot.
  Module& set_precision(Precision precision);
  Precision precision() const noexcept;

  /// The memory of all parameters, one after the other, and with bf16 of their copies as it multiplies them. Undefined without any.
  /// For whoever records work with their addresses. They are others after `to`, `set_precision`, or a change of the tree; on the
  /// CPU copies are others when values are.
  struct ParameterMemory {
    Tensor values, bf16_copies;
  };
  ParameterMemory parameter_memory();

  /// A copy of its own, on the same device: a new module of the same class with the same values, modes and precision, and the same
  /// place in the random numbers, as `copy.deepcopy`. It has no gradients and no hooks. A copy of a part is a model of its own.
  /// Throws `std::logic_error` for a class that does not override `copy`.
  std::unique_ptr<Module> clone() const;
  /// The same as an M: `auto twin = model.clone<SimpleCNN>()`. Throws `std::bad_cast` if it is no M.
  template <class M>
  M clone() const {
    return std::move(dynamic_cast<M&>(*clone()));
  }

  /// Sees a module and two tensors, of the dtype of the activations, on the model's device.
  using Hook = std::function<void(const Module& module, const Tensor& of_x, const Tensor& of_y)>;
  /// Calls `hook(module, x, y)` after each forward of this module, `predict` included, in the thread that runs it; several hooks in
  /// the order they came. Returns its number for `remove_hook`. While a module has hooks, a Sequential runs the layers around it
  /// one by one, and training steps are not captured. Throws `std::invalid_argument` for a hook that cannot be called, and
  /// `std::logic_error` during a call of the model.
  int register_forward_hook(Hook hook);
  /// Calls `hook(module, dx, dy)` after each backward, with the gradients of x and y; dx is undefined where nobody asks for it.
  /// Frozen layers before the first one that learns have no backward. It sees backwards whose forward came after it.
  int register_full_backward_hook(Hook hook);
  /// Throws `std::invalid_argument` if this module has no such hook, and `std::logic_error` during a call of the model.
  void remove_hook(int number);
  /// Whether a module of the tree has a hook.
  bool has_hooks() const;

  /// Sets the mode of the whole tree, as PyTorch's: dropout drops only in training. Modules start in training.
  Module& train(bool on = true);
  Module& eval() { return train(false); }
  /// Never while it is frozen.
  bool training() const noexcept { return training_ && !frozen_; }

  /// Whether backward computes the gradient of the input. On at first, but off for a Sequential that is nobody's child: a network's
  /// input is data, whose gradient nobody asks for, and its first layer saves the work.
  Module& set_input_grad(bool on);
  bool input_grad() const noexcept { return input_grad_; }

  /// A table of the layers: name, kind, output shape for input shape x, parameters, and their total.
  std::string summary(const Shape& x);

  /// The class's name without its namespace, as `Conv2d`.
  std::string kind() const;
  /// The path in the root, as `features.0`; empty for the root, and before a model was first used.
  const std::string& path() const noexcept { return path_; }
  /// `features.0 Conv2d`: the path in the root, if any, and the kind.
  std::string label() const;

 protected:
  Module();
  // Not for users: `model.at("fc") = Linear(512, 5)`, without the class, would move half a layer.
  Module(Module&&) noexcept;
  Module& operator=(Module&&) noexcept;

  /// Computes y. x is an input that `output_shape` takes, f32 or what the precision makes of it, on the model's device. It may run
  /// in several threads at once in `predict`; what `gradients` needs is kept by `context.save(…)`, and nowhere else.
  virtual Tensor forward(const Tensor& x, Context& context) const = 0;
  /// Computes the gradients from dy, which has y's shape and the dtype of the activations: adds those of the parameters to theirs
  /// (`Parameter::grad_target` or `accumulate_grad`) and returns that of x, or nothing where `!context.input_grad()`.
  virtual Tensor gradients(const Tensor& dy, Context& context) = 0;

  /// For `clone`: a new module of this very class, made with the same options; values and modes are set afterwards.
  virtual std::unique_ptr<Module> copy() const;
  /// `child.copy()`. Throws `std::logic_error` that names the child if it is of another class.
  static std::unique_ptr<Module> copy_of(const Module& child);
  /// Called when the tree lies on `device`, before the first forward there: containers choose how to run what is inside them. It
  /// must not use this or another module.
  virtual void placed(Device device);
  /// Whether x goes as it is into the first of the layers inside this module, and y comes from the last as it is, so that these may
  /// do what StepEnds says. A class that does not know what its derived classes do answers for itself alone.
  virtual bool takes_ends() const;
  /// Whether `forward` gathers this batch itself, which is its x. It is asked when the module lies on a device and leads a call.
  virtual bool gathers(const kernels::OrderedBatch& batch) const;
  /// Whether child number `i` must compute the gradient of its input. A container whose gradients need all of them says so, as
  /// here. It is asked again when parameters were frozen or are learned again.
  virtual bool child_input_grad(std::size_t i) const;
  /// Whether a parameter of the tree is to be learned.
  static bool learns(const Module& module);
  /// Throws `std::logic_error` that names the module if it was moved from.
  static void refuse_moved_from(const Module& module);
  /// `child.output_shape(x)`; what it throws is given the child's label, and `hint` at its end.
  static Shape shape_of(const Module& child, const Shape& x, const std::string& hint = {});
  /// For `graph_of`: adds what the module computes in `predict` to a graph. x is the number of its input there; returns the number
  /// of its output. Throws `std::logic_error` that names the module for a class that does not override it. A class that overrides
  /// `forward` of Sequential overrides this, too.
  virtual int add_to(GraphBuilder& graph, int x) const;
  /// This module's lines of `summary`; containers that know the order of their children give one for each.
  struct SummaryRow {
    std::string name, kind;
    Shape output;
    std::int64_t parameters;
  };
  virtual void add_summary_rows(const Shape& x, std::vector<SummaryRow>& rows);
  static void summarize(Module& child, const Shape& x, std::vector<SummaryRow>& rows) { child.add_summary_rows(x, rows); }

 private:
  friend class ChildList;
  friend class Context;
  friend class GraphBuilder;
  friend class ModuleTree;
  friend class TrainingMode;
  struct Root;
  struct Hooks;
  class ExclusiveCall;
  class Prediction;

  // The tree, in module.cpp.
  Root& named_root() const;
  Root& packed_root() const;
  bool is_whole(const Root& root);
  void name_tree(const std::shared_ptr<Root>& root);
  static std::vector<std::pair<Root*, std::size_t>> roots_of(const std::vector<Module*>& modules);
  static void retire(Root& root, const std::vector<std::shared_ptr<Root>>& owners);
  void pack(Device device);
  void spread_input_grad();
  Module& part(std::string_view path);
  [[noreturn]] void fail_at(const Module& found) const;

  // Calls, in calls.cpp.
  void check_input(const Tensor& x, const Root& root) const;
  Tensor run_training(const Tensor& x, StepEnds* ends);
  Tensor run_forward(const Tensor& x, Context::Call& call) const;
  Tensor run_outermost(const Tensor& x, Context::Call& call) const;
  Tensor run_backward(const Tensor& dy, Context::Call& call);
  Tensor start_backward(const Tensor& dy, const GradientsFrom* gradients_from);
  void note_use(const Context::Call& call) const;
  void require_part_of(const Context::Call& call) const;
  [[noreturn]] void fail_backward() const;

  // Hooks, in hooks.cpp.
  int add_hook(Hook hook, bool backward);
  void run_hooks(const Tensor& of_x, const Tensor& of_y, bool backward) const;

  std::shared_ptr<Root> root_;         // shared by all modules of a tree
  std::atomic<Root*> shown_{nullptr};  // the same, for threads that have not seen it made
  std::string path_;
  std::atomic<std::uint32_t> index_{0};  // in the tree, the root being 0
  bool training_ = true;                 // what train and eval said last
  bool frozen_ = false;
  bool input_grad_ = true;
  bool moved_from_ = false;
  mutable std::atomic<std::uint64_t> verified_{0};  // how many modules were made and moved when this tree was last seen to be whole
  std::uint64_t spread_ = 0;                        // Parameter::freezes() when the input gradients below were last chosen
  mutable std::uint64_t last_call_ = 0;             // the root's call that this module last served in, if it keeps
  mutable std::unique_ptr<Context::Saved> saved_;
  std::unique_ptr<Hooks> hooks_;  // null without any
};

}  // namespace gpucnn
