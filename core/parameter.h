#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gpucnn/core/export.h>
#include <gpucnn/core/tensor.h>

namespace gpucnn {

/// How a parameter's first values are made: uniform in [low, high), or `low` everywhere when both are equal. With a deviation above
/// 0 they are normal instead, around `low`.
struct GPUCNN_API Init {
  float low = 0.0F;
  float high = 0.0F;
  float deviation = 0.0F;

  static constexpr Init uniform(float bound) noexcept { return {-bound, bound}; }
  static constexpr Init constant(float value) noexcept { return {value, value}; }
  static constexpr Init normal(float deviation) noexcept { return {0, 0, deviation}; }

  /// Whether all three are finite, low <= high, and the deviation is not below 0.
  bool valid() const noexcept;
};

/// A learned tensor and its gradient: a handle; copies name the same parameter and stay valid when the model moves to another
/// place or device. Values are drawn by the model that holds it (see `Module::init`), not here.
class GPUCNN_API Parameter {
 public:
  Parameter() = default;
  /// Throws `std::invalid_argument` unless `init.valid()`.
  Parameter(const Shape& shape, Init init);

  bool defined() const noexcept { return state_ != nullptr; }
  /// The path in the model, as `features.0.weight`; empty before a model was first used.
  const std::string& name() const;
  const Shape& shape() const;
  std::int64_t numel() const { return shape().numel(); }

  /// The values; writing to them changes the parameter. Throws `std::logic_error` before they were drawn or loaded.
  Tensor value() const;
  bool has_value() const;

  /// How the next draw makes the values: for a network whose paper begins otherwise than its layers do. Values that are there stay.
  Init init() const;
  /// Throws `std::invalid_argument` unless `init.valid()`.
  void set_init(Init init);

  /// The gradient; undefined while there is none (after `zero_grad`, before a backward), as PyTorch's None.
  Tensor grad() const;
  bool has_grad() const;
  /// Forgets the gradient: the next backward writes it instead of adding.
  void zero_grad();
  /// Whether it is learned; true at first. A frozen parameter has no gradient, so that optimizers pass it over. Where nothing of a
  /// layer, or of layers that run as one, is learned, none is computed. Freezing forgets the gradient that is there.
  void requires_grad(bool on);
  bool requires_grad() const;
  /// How often a parameter of the process was frozen or learned again: while it stands still, so do all.
  static std::uint64_t freezes() noexcept;
  /// Adds `gradient`, of this shape, to the gradient. For layers whose backward computes it in memory of their own.
  void accumulate_grad(const Tensor& gradient);

  /// For kernels that write gradients in place: the memory, and whether to add to what it holds. Afterwards there is a gradient,
  /// unless the parameter is frozen: then what is written is nobody's.
  struct GradTarget {
    Tensor grad;
    bool accumulate;
  };
  GradTarget grad_target();

  /// Where the parameter lies in its model's arena, for optimizers: element `first` of `values` and of `grads`. The parameter that
  /// follows, if any, begins at `first + Arena::padded(numel())`.
  struct Slot {
    Tensor values, grads;
    std::int64_t first;
  };
  /// Throws `std::logic_error` before a model packed it.
  Slot slot() const;

  /// Replaces the values, from any device; the shapes must be equal.
  void set_value(const Tensor& value);

  /// Whether both handles name the same parameter; the order is any, for sets of parameters.
  auto operator<=>(const Parameter& other) const noexcept = default;

 private:
  friend class Arena;
  struct State;
  State& state() const;

  std::shared_ptr<State> state_;
};

/// The values and the gradients of a list of parameters in two contiguous pieces of memory, each parameter aligned to 64 bytes,
/// so that an optimizer's update or a gradient's norm is one pass. The gaps hold zeros.
class GPUCNN_API Arena {
 public:
  /// Elements from one aligned parameter to the next are a multiple of this.
  static constexpr std::int64_t kAlignment = 16;

  /// Moves the parameters into new memory on `device`, in order; handles stay valid. Parameters without values are drawn:
  /// parameter i from RandomStream(seed, Purpose::weights, i), element e in logical order from word e; normal elements 2k and 2k +
  /// 1 from words 2k and 2k + 1 (Box and Muller, "A note on the generation of random normal deviates", 1958). `names` are the
  /// parameters' paths.
  static void pack(const std::vector<Parameter>& parameters, const std::vector<std::string>& names, std::uint64_t seed,
                   Device device);

  /// Draws all values anew, where they lie, by the same rule.
  static void draw(const std::vector<Parameter>& parameters, std::uint64_t seed);

  /// The element at which a parameter of `numel` elements is followed by the next.
  static constexpr std::int64_t padded(std::int64_t numel) noexcept { return (numel + kAlignment - 1) / kAlignment * kAlignment; }
};

}  // namespace gpucnn
